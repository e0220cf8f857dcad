"""The code and the environment that travel to the machines of a cluster."""

from collections.abc import Iterable
from importlib import machinery
import os
import pathlib
import sys

from transfusion_tf import run_folder
from transfusion_tf import startup
from transfusion_tf.run import train_and_evaluate
from transfusion_tf.study import process_pool

_OURS = ('transfusion_tf', 'svcca')


def environment() -> dict[str, str]:
  """Return the variables that processes of all machines have alike."""
  ours = {k: os.environ[k] for k in startup.ENVIRONMENT if k in os.environ}
  return (
    process_pool.ALLOCATION
    | ours
    | {
      run_folder.SHARED: '1',
      train_and_evaluate.COMMIT: train_and_evaluate.commit(),
    }
  )


def modules(functions: Iterable[str]) -> list[str]:
  """Return the paths of the project's packages and of the user's modules.

  Args:
    functions: Names that may be a user's, as `package.module:function`.
  """
  names = {name.partition(':')[0] for name in functions if ':' in name}
  tops = {name.partition('.')[0] for name in names}
  paths = [_path(name, [os.getcwd(), *sys.path]) for name in sorted(tops)]
  own = [_path(name, sys.path) for name in _OURS]
  return [path for path in (*own, *paths) if path]


def _path(name, places):
  """Return the path of a module that no package manager has installed."""
  spec = machinery.PathFinder.find_spec(name, places)
  if spec is None or not spec.origin:
    return ''
  path = pathlib.Path(spec.origin)
  if 'site-packages' in path.parts and name not in _OURS:
    return ''  # Its versions are the machines' own.
  return str(path.parent if path.name == '__init__.py' else path)

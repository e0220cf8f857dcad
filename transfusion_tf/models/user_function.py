"""Finds `package.module:function` in a user's own code, and calls it.

A module of the present folder is preferred to one of the same name elsewhere,
e.g. a script of this project. Whatever the code raises is an InputError with
the line of the code: it is the user's to repair.
"""

from collections.abc import Callable, Iterator
import contextlib
import functools
import importlib
from importlib import machinery
from importlib import util
import os
import sys

from transfusion_tf import errors


def find(name: str) -> Callable:
  """Return the function `package.module:function`.

  Raises:
    InputError: There is none, its module cannot be imported, or the name of
      the module is taken. Calling the function raises one as well.
  """
  module_name, _, attribute = name.partition(':')
  with _as_input_error(name):
    module = _import(name, module_name)
  result = getattr(module, attribute, None)
  if not callable(result):
    known = [n for n, x in vars(module).items() if callable(x)]
    raise errors.unknown(f'function of {module_name}', attribute, known)

  @functools.wraps(result)
  def call(*args, **kwargs):
    with _as_input_error(name, result):
      return result(*args, **kwargs)

  return call


@contextlib.contextmanager
def _as_input_error(name, function=None) -> Iterator[None]:
  try:
    yield
  except (errors.InputError, errors.RunError):
    raise
  # A script that is not meant to be imported may exit.
  except (Exception, SystemExit) as error:
    raise errors.InputError(
      f'{name} raises {errors.describe(error, function)}'
    ) from error


def _import(name, module_name):
  if os.getcwd() not in sys.path:
    sys.path.append(os.getcwd())
  top = module_name.partition('.')[0]
  ours = machinery.PathFinder.find_spec(top, [os.getcwd()])
  # A folder that is no package, e.g. of images, has no file of its own.
  if ours is not None and ours.origin is not None:
    _import_from_here(name, top, ours)
  if top in sys.stdlib_module_names:
    raise errors.InputError(
      f'{name}: {top} is a module of Python; name a function of your own'
    )
  try:
    return importlib.import_module(module_name)
  except ModuleNotFoundError as error:
    if not f'{module_name}.'.startswith(f'{error.name}.'):
      raise  # The module exists, but lacks an import of its own.
    raise errors.InputError(
      f'{name}: no module {error.name}; start from the folder that holds it, '
      'or name that in PYTHONPATH'
    ) from None


def _import_from_here(name, top, spec):
  """Import a module of the present folder, whatever else has its name."""
  loaded = sys.modules.get(top)
  if loaded is not None:
    path = getattr(loaded, '__file__', None)
    if path is None or not _is_same_file(path, spec.origin):
      raise _taken(name, top, spec, path or 'Python')
    return
  # Python's own code would get the user's module when it imports its own.
  if top in sys.stdlib_module_names:
    raise _taken(name, top, spec, 'Python')
  usual = util.find_spec(top)
  if usual is not None and _is_same_file(usual.origin, spec.origin):
    return  # Imported as usual.
  sys.modules[top] = module = util.module_from_spec(spec)
  try:
    spec.loader.exec_module(module)
  except BaseException:
    del sys.modules[top]
    raise


def _taken(name, top, spec, owner):
  return errors.InputError(
    f'{name}: the name {top} is taken by a module of {owner}; rename '
    f'{os.path.relpath(spec.origin)}, and name it so'
  )


def _is_same_file(a, b):
  return a is not None and os.path.realpath(a) == os.path.realpath(b)

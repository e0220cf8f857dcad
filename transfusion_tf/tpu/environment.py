"""The environment of the TPU compiler: JAX's, which needs no TPU.

It is apart from ours: libtpu is pinned to another version than the one that
TensorFlow for TPUs imports with, and JAX has no other use here.
"""

from collections.abc import Iterator
import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import venv

from transfusion_tf import errors
from transfusion_tf import storage
from transfusion_tf import tpu_settings
from transfusion_tf.tpu import compile_hlo as script

_PACKAGES = ('jax==0.10.2', 'jaxlib==0.10.2', 'libtpu==0.0.42')
_SCRIPT = pathlib.Path(__file__).with_name('compile_hlo.py')
_ENVIRONMENT = tpu_settings.ELSEWHERE | {
  'ALLOW_MULTIPLE_LIBTPU_LOAD': '1',  # Nothing is shared: there is no TPU.
  'JAX_PLATFORMS': 'cpu',
}


def default_directory() -> str:
  """Return where the environment is made if no other place is named."""
  cache = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
  return os.path.join(cache, 'transfusion_tf', 'tpu_compiler')


def make(directory: str) -> str:
  """Make the environment if there is none; return its Python.

  Raises:
    InputError: It cannot be installed.
  """
  python = os.path.join(directory, 'bin', 'python')
  complete = pathlib.Path(directory, ' '.join(_PACKAGES))
  if complete.exists():
    return python
  print(f'Installing {" ".join(_PACKAGES)} in {directory}', file=sys.stderr)
  try:
    venv.create(directory, with_pip=True, clear=True)
  except OSError as error:
    raise errors.InputError(f'{directory}: {error.strerror}') from None
  install = [python, '-m', 'pip', 'install', '--quiet', *_PACKAGES]
  done = subprocess.run(install, capture_output=True, text=True)
  if done.returncode:
    raise errors.InputError(
      f'the TPU compiler cannot be installed: {_last_line(done.stderr)}'
    )
  complete.touch()
  return python


def compile_hlo(
  python: str,
  hlo: bytes,
  topology: str,
  num_chips: int = 1,
  code: bool = False,
) -> tuple[str, dict]:
  """Return the program as optimized for a chip, and statistics.

  The statistics are `flops` and the bytes of `memory`, of its `temporary`
  arrays, and of the machine `code`: 0 if none is generated.

  Args:
    python: The result of `make`.
    hlo: The program of one chip.
    topology: E.g. `v5e:2x2`.
    num_chips: Number of the topology's chips that run it together.
    code: Whether to generate machine code, too, which takes minutes.

  Raises:
    RunError: It does not compile, e.g. because it exceeds the chip's memory.
  """
  with storage.local_folder() as folder, _lifeline() as stdin:
    source = pathlib.Path(folder, 'hlo')
    source.write_bytes(hlo)
    done = subprocess.run(
      [python, str(_SCRIPT), str(source), topology, str(num_chips), folder]
      + ['code'] * code,
      env=os.environ | _ENVIRONMENT,
      stdin=stdin,
      capture_output=True,
      text=True,
    )
    if done.returncode:
      raise errors.RunError(_last_line(done.stderr))
    program = pathlib.Path(folder, script.PROGRAM).read_text('utf-8')
    return program, json.loads(done.stdout.splitlines()[-1])


@contextlib.contextmanager
def _lifeline() -> Iterator[int]:
  """Yield a pipe that ends with the block, or with this process."""
  reader, writer = os.pipe()
  try:
    yield reader
  finally:
    os.close(writer)
    os.close(reader)


def _last_line(text):
  """Return the line that says what went wrong."""
  for excess in (
    re.search(r'Used (\S+) of (\S+) hbm', text),
    re.search(r'temporaries \((\S+)\) exceeds available HBM \((\S+)\)', text),
  ):
    if excess:
      return f'it needs {excess[1]}iB of the {excess[2]}iB of memory'
  lines = [line for line in text.splitlines() if line.strip()]
  named = [line for line in lines if 'Error' in line or 'ERROR' in line]
  line = (named or lines or ['no message'])[-1].strip()
  return line.removeprefix('jax.errors.JaxRuntimeError: ')

"""The wheels of TensorFlow, and what the one for TPUs reads on import.

It is read without TensorFlow. Only `tensorflow-tpu` has kernels for TPUs. Its
libtpu asks Google Cloud's metadata server for the TPU's name and shape, and
elsewhere waits for it; the variables below answer in its place.
"""

from collections.abc import Mapping
import functools
import glob
import importlib.metadata
import importlib.util
import os
import pathlib

from transfusion_tf import errors

_TENSORFLOW = ('tensorflow', 'tensorflow-cpu', 'tensorflow-tpu', 'tf-nightly')
_LIBRARIES = ('libtpu', 'keras', 'tensorboard')
# Later ones abort the process that imports tensorflow-tpu 2.20.
_NEWEST_LIBTPU = (0, 0, 31)
_MACHINE = '/sys/class/dmi/id/product_name'

# In place of Google Cloud's metadata server, where there is none.
ELSEWHERE = {
  'TPU_SKIP_MDS_QUERY': '1',
  'TPU_ACCELERATOR_TYPE': 'v5litepod-1',
  'TPU_WORKER_ID': '0',
  'TPU_WORKER_HOSTNAMES': 'localhost',
}
_POD = {'TPU_LOAD_LIBRARY': '0'}
_ONE_HOST = {'NEXT_PLUGGABLE_DEVICE_USE_C_API': 'true', 'PJRT_DEVICE': 'TPU'}


@functools.cache
def wheels() -> dict[str, str]:
  """Return the installed packages of TensorFlow: name -> version."""
  found = {}
  for name in (*_TENSORFLOW, *_LIBRARIES):
    try:
      found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
      continue
  return found


def has_host_xla() -> bool:
  """Return whether XLA compiles for this machine's CPU, too.

  In the wheel for TPUs it does not: "no transfer manager for platform Host".
  """
  return 'tensorflow-tpu' not in wheels()


def check(installed: Mapping[str, str]) -> None:
  """Check that the installed wheels go together.

  Raises:
    InputError: Importing TensorFlow would abort, or mixes two wheels.
  """
  several = [name for name in _TENSORFLOW if name in installed]
  if len(several) > 1:
    raise errors.InputError(
      f'{" and ".join(several)} are installed into one folder: uninstall all '
      'of them, then install one'
    )
  libtpu = installed.get('libtpu', '0')
  if 'tensorflow-tpu' in installed and _numbers(libtpu) > _NEWEST_LIBTPU:
    newest = '.'.join(map(str, _NEWEST_LIBTPU))
    raise errors.InputError(
      f'libtpu {libtpu} aborts TensorFlow {installed["tensorflow-tpu"]}: '
      f"pip install 'libtpu<={newest}'"
    )


def environment(before: Mapping[str, str]) -> dict[str, str]:
  """Return what the wheel for TPUs reads here, without what is set already."""
  if 'tensorflow-tpu' not in wheels():
    return {}
  return _settings(before, is_on_google_cloud(), has_chips())


def _settings(before, on_google_cloud, chips):
  if not on_google_cloud:
    return ELSEWHERE
  if 'TPU_NAME' in before:
    return _POD
  return _ONE_HOST | _library() if chips else {}


def is_on_google_cloud() -> bool:
  """Return whether this machine is one of Google Cloud's."""
  try:
    return 'Google' in pathlib.Path(_MACHINE).read_text()
  except OSError:
    return False


def has_chips() -> bool:
  """Return whether TPUs are attached to this machine."""
  return bool(glob.glob('/dev/accel*') or glob.glob('/dev/vfio/[0-9]*'))


def _library():
  spec = importlib.util.find_spec('libtpu')
  if spec is None or not spec.origin:
    return {}
  library = os.path.join(os.path.dirname(spec.origin), 'libtpu.so')
  return {'TF_PLUGGABLE_DEVICE_LIBRARY_PATH': library}


def _numbers(version):
  return tuple(int(part) for part in version.split('.') if part.isdigit())

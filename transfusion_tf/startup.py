"""How TensorFlow and Keras are imported: with our settings, and quietly."""

from collections.abc import Iterator, Mapping
import contextlib
import gc
import os
import pathlib
import traceback

from absl import logging

from transfusion_tf import errors
from transfusion_tf import tpu_settings

# Defaults that TensorFlow reads when it is imported.
ENVIRONMENT = {
  'TF_CPP_MIN_LOG_LEVEL': '2',
  'GRPC_VERBOSITY': 'ERROR',
  # TensorFlow's own choice where there is AVX-512; without, ResNet-50 and
  # CBR-LargeW were measured to train 1.5 times as fast.
  'TF_ENABLE_ONEDNN_OPTS': '1',
  # What one request reads of a bucket. TensorFlow's own 64 are a GiB of buffers
  # for the 16 files that training reads in turn.
  'GCS_READ_CACHE_BLOCK_SIZE_MB': '16',
}
# What the networks are made for, whatever the user's environment says.
_NEEDED = {'KERAS_BACKEND': 'tensorflow', 'TF_USE_LEGACY_KERAS': '0'}


def environment(before: Mapping[str, str]) -> dict[str, str]:
  """Return an environment with what TensorFlow and Keras read on import."""
  usual = ENVIRONMENT | tpu_settings.environment(before)
  return usual | dict(before) | _NEEDED


def import_tensorflow() -> None:
  """Import TensorFlow without what it writes before its logging is set up.

  Errors are exceptions and come through; the lines are about CPU instructions
  and missing GPU drivers. Keras gets its default settings.

  Raises:
    InputError: The user's settings of Keras cannot be read, or the installed
      wheels do not go together.
  """
  tpu_settings.check(tpu_settings.wheels())
  os.environ.update(environment(os.environ))
  with quiet(), _convert_settings_errors(), _without_collection():
    import tensorflow as tf

    _set_keras_defaults()
    if not is_verbose():
      tf.config.list_physical_devices()
      tf.get_logger().setLevel('ERROR')


def _set_keras_defaults():
  """Set Keras' defaults, in place of the user's keras.json.

  The same command makes the same network for everybody.
  """
  import keras

  keras.config.set_floatx('float32')
  keras.config.set_epsilon(1e-7)
  keras.config.set_image_data_format('channels_last')


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
  """Import without the garbage collector; it need not visit what stays.

  It would take a fifth of the time to import, and again a second at the end of
  the process.
  """
  is_enabled = gc.isenabled()
  gc.disable()
  try:
    yield
  finally:
    gc.freeze()
    if is_enabled:
      gc.enable()


@contextlib.contextmanager
def _convert_settings_errors() -> Iterator[None]:
  """Raise an InputError if a keras.json holds what Keras does not know."""
  try:
    yield
  except (AssertionError, AttributeError, ValueError) as error:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    if 'keras' not in pathlib.Path(frame.filename).parts:
      raise
    home = os.environ.get('KERAS_HOME', '~/.keras')
    raise errors.InputError(
      f'{os.path.join(home, "keras.json")}: not the settings of Keras '
      f'({str(error) or frame.line}); correct or delete the file'
    ) from None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
  """Silence stderr, even from C++, unless -v was given."""
  if is_verbose():
    yield
    return
  stderr = os.dup(2)
  nowhere = os.open(os.devnull, os.O_WRONLY)
  try:
    os.dup2(nowhere, 2)
    yield
  finally:
    os.dup2(stderr, 2)
    os.close(stderr)
    os.close(nowhere)


def report_error(error: Exception) -> str:
  """Return an exception in one line; with -v, print its traceback as well."""
  if is_verbose():
    traceback.print_exception(error)
  if isinstance(error, errors.InputError | errors.RunError):
    return str(error)
  return errors.describe(error)


def is_verbose() -> bool:
  """Return whether -v was given."""
  return logging.get_verbosity() > logging.INFO

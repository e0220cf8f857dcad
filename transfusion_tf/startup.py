"""How TensorFlow is imported: with our defaults, and quietly."""

from collections.abc import Iterator
import contextlib
import os

from absl import logging

# Defaults that TensorFlow reads when it is imported.
ENVIRONMENT = {
  'TF_CPP_MIN_LOG_LEVEL': '2',
  'GRPC_VERBOSITY': 'ERROR',
  # TensorFlow's own choice where there is AVX-512; without, ResNet-50 and
  # CBR-LargeW were measured to train 1.5 times as fast.
  'TF_ENABLE_ONEDNN_OPTS': '1',
}


def import_tensorflow() -> None:
  """Import TensorFlow without what it writes before its logging is set up.

  Errors are exceptions and come through; the lines are about CPU instructions
  and missing GPU drivers.
  """
  with quiet():
    import tensorflow as tf

    if not is_verbose():
      tf.config.list_physical_devices()
      tf.get_logger().setLevel('ERROR')


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


def is_verbose() -> bool:
  """Return whether -v was given."""
  return logging.get_verbosity() > logging.INFO

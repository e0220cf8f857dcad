"""A network for TF Lite: one image of a fixed size -> probabilities."""

from collections.abc import Callable, Sequence
import warnings

import numpy as np
import tensorflow as tf

from transfusion_tf import errors
from transfusion_tf import storage
from transfusion_tf.run import build as run_lib


def write(run: run_lib.Run, path: str) -> None:
  """Write a .tflite file, in float32.

  It takes float32 [1, C, C, 3], the values 0 to 255 of a prepared image as the
  run's `ImageReader.evaluation` returns it, and returns [1, K]. Decoding and
  preparing a file is left to the caller: TF Lite has no operations for it.

  Raises:
    InputError: The network has operations that TF Lite lacks.
  """
  side = run.source.reader.evaluation_side
  spec = tf.TensorSpec([1, side, side, 3], tf.float32, 'image')
  network = tf.Module()
  network.weights = [variable.value for variable in run.model.variables]
  network.classify = tf.function(
    lambda image: {'probabilities': run.probabilities(image)},
    input_signature=[spec],
    autograph=False,
  )
  converter = tf.lite.TFLiteConverter.from_concrete_functions(
    [network.classify.get_concrete_function()], network
  )
  try:
    converted = converter.convert()
  except Exception as error:  # The converter raises whatever MLIR says.
    raise errors.InputError(
      f'{run.model.name} does not convert to TF Lite: '
      f'{str(error).strip().splitlines()[0]}; export it without --tflite'
    ) from None
  storage.write_bytes(path, converted)


def reader(
  path: str, run: run_lib.Run
) -> Callable[[Sequence[tf.Tensor]], np.ndarray]:
  """Return a function: prepared images, encoded -> the file's [N, K]."""
  with warnings.catch_warnings():  # Its move to another package is announced.
    warnings.simplefilter('ignore')
    interpreter = tf.lite.Interpreter(path)
  classify = interpreter.get_signature_runner()

  def read(encoded):
    images = [run.source.reader.evaluation(e).numpy()[None] for e in encoded]
    outputs = [classify(image=np.float32(image)) for image in images]
    return np.concatenate([output['probabilities'] for output in outputs])

  return read

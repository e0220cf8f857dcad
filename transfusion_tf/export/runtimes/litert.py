"""LiteRT, which was TensorFlow Lite: written by TensorFlow itself."""

from importlib import util
import warnings

import numpy as np
import tensorflow as tf

from transfusion_tf import storage
from transfusion_tf.export import portable
from transfusion_tf.export.runtimes import base
from transfusion_tf.export.runtimes import litert_metadata


class LiteRt(base.Runtime):
  """A .tflite file in float32, with metadata and labels."""

  name, title = 'tflite', 'LiteRT (TensorFlow Lite)'
  file = 'model.tflite'

  @property
  def example(self):  # type: ignore[override]  # Read only.
    return f"""
from ai_edge_litert import interpreter

network = interpreter.Interpreter('DIR/{self.file}').get_signature_runner()
probabilities = network(pixels=pixels)['probabilities']
"""

  def write(self, network, path):
    serve, note = network.module.serve_pixels, ''
    if self.is_rounded:
      # Sums of rounded probabilities may be zero, and are divided by.
      serve = portable.of_probabilities(serve)
    with self.convert_errors(network):
      try:
        content = self._convert(network, serve)
      except Exception:  # Of MLIR, whatever it is.
        if self.is_rounded:
          raise  # What has no batch crashes the converter here.
        content = self._convert(network, portable.of_one(serve))
        note = (
          f'{self.file} takes one image at a time: {self.title} does not have '
          f'the operations of {network.name} for more'
        )
      content = litert_metadata.add(content, network)
    storage.write_bytes(path, content)
    return note

  def _convert(self, network, serve):
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
      [serve.get_concrete_function()], network.module
    )
    self._set(converter, network)
    return converter.convert()

  def _set(self, converter, network):
    """Set the converter's options: none for float32."""

  def load(self, path, num_threads=0):
    interpreter = _interpreter()
    with warnings.catch_warnings():  # TensorFlow announces its removal.
      warnings.simplefilter('ignore')
      loaded = interpreter.Interpreter(path, num_threads=num_threads or None)
    run = loaded.get_signature_runner()
    (details,) = loaded.get_input_details()
    if details['shape_signature'][0] == 1:
      return lambda pixels: np.concatenate(
        [run(pixels=image[None])[portable.PROBABILITIES] for image in pixels]
      )
    return lambda pixels: run(pixels=pixels)[portable.PROBABILITIES]


class LiteRtInt8(LiteRt):
  """The same in 8 bits, by the ranges that training images show.

  Pixels and probabilities stay float32. All between them is int8. There is no
  other output.
  """

  name, title = 'tflite_int8', 'LiteRT in 8 bits'
  file = 'model_int8.tflite'
  is_rounded = True

  def _set(self, converter, network):
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
      [image] for image in network.training_images()
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return converter


def _interpreter():
  """Return LiteRT's own module; TensorFlow's if it is not installed."""
  if util.find_spec('ai_edge_litert') is None:
    return tf.lite
  from ai_edge_litert import interpreter

  return interpreter

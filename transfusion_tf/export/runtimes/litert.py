"""LiteRT, which was TensorFlow Lite: written by TensorFlow itself."""

from importlib import util
import warnings

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
    with self.convert_errors(network):
      content = self._converter(network).convert()
      content = litert_metadata.add(content, network)
    storage.write_bytes(path, content)

  def _converter(self, network):
    serve = network.module.serve_pixels.get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions(
      [serve], network.module
    )

  def load(self, path, num_threads=0):
    interpreter = _interpreter()
    with warnings.catch_warnings():  # TensorFlow announces its removal.
      warnings.simplefilter('ignore')
      loaded = interpreter.Interpreter(path, num_threads=num_threads or None)
    run = loaded.get_signature_runner()
    return lambda pixels: run(pixels=pixels)[portable.PROBABILITIES]


class LiteRtInt8(LiteRt):
  """The same in 8 bits, by the ranges that training images show.

  Pixels and probabilities stay float32. All between them is int8.
  """

  name, title = 'tflite_int8', 'LiteRT in 8 bits'
  file = 'model_int8.tflite'
  is_rounded = True

  def _converter(self, network):
    converter = super()._converter(network)
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

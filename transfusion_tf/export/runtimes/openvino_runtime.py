"""OpenVINO's own format and runtime."""

import sys

import tensorflow as tf

from transfusion_tf import storage
from transfusion_tf.export import portable
from transfusion_tf.export.runtimes import base


class OpenVino(base.Runtime):
  """Two files: the graph and, beside it, its weights."""

  name, title = 'openvino', 'OpenVINO'
  file = 'model.xml'
  extra = 'openvino'
  modules = ('openvino',)
  example = """
import openvino

# Without it, CPUs that have bfloat16 compute with that.
exact = {'INFERENCE_PRECISION_HINT': 'f32'}
network = openvino.Core().compile_model('DIR/model.xml', 'CPU', exact)
probabilities = network(pixels)['probabilities']
"""

  @property
  def files(self):
    return (self.file, 'model.bin')

  def write(self, network, path):
    openvino = _openvino()
    with self.convert_errors(network), storage.local_folder() as folder:
      serve = network.module.serve_pixels
      tf.saved_model.save(network.module, folder, {'serving_default': serve})
      model = openvino.Core().read_model(folder)
      for key, text in network.about.items():
        model.set_rt_info(text, [key])
      # What OpenVINO's own model server looks for.
      names = ' '.join('_'.join(n.split()) for n in network.class_names)
      model.set_rt_info(names, ['model_info', 'labels'])
      model.set_friendly_name(network.name)
      openvino.save_model(model, path, compress_to_fp16=False)
    return ''

  def load(self, path, num_threads=0):
    config = {'INFERENCE_PRECISION_HINT': 'f32'}
    if num_threads:
      config['INFERENCE_NUM_THREADS'] = str(num_threads)
    compiled = _openvino().Core().compile_model(path, 'CPU', config)
    return lambda pixels: compiled(pixels)[portable.PROBABILITIES]


def _openvino():
  # Importing it tells its makers so over the network, unless this is missing.
  sys.modules.setdefault('openvino_telemetry', None)  # type: ignore[arg-type]
  import openvino

  return openvino

"""ONNX, by tf2onnx, and ONNX Runtime."""

import logging

from transfusion_tf import storage
from transfusion_tf.export import portable
from transfusion_tf.export.runtimes import base

_BATCH = 'N'  # The name of the dimension of any size.


class OnnxRuntime(base.Runtime):
  """A file of ONNX; its metadata hold what the network is."""

  name, title = 'onnx', 'ONNX'
  file = 'model.onnx'
  extra = 'onnx'
  modules = ('onnx', 'tf2onnx', 'onnxruntime')
  example = """
import onnxruntime

session = onnxruntime.InferenceSession('DIR/model.onnx')
(probabilities,) = session.run(['probabilities'], {'pixels': pixels})
"""

  def write(self, network, path):
    import onnx

    with self.convert_errors(network):
      model = _convert(network)
      model.graph.name = network.name
      model.graph.doc_string = ''
      for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = _BATCH
      onnx.helper.set_model_props(model, network.about)
      onnx.checker.check_model(model)
      content = model.SerializeToString()
    storage.write_bytes(path, content)

  def load(self, path, num_threads=0):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    session = onnxruntime.InferenceSession(
      path, options, providers=['CPUExecutionProvider']
    )

    def classify(pixels):
      names = [portable.PROBABILITIES]
      return session.run(names, {portable.PIXELS: pixels})[0]

    return classify


def _convert(network):
  import tf2onnx

  # It tells each pass over the graph.
  logging.getLogger('tf2onnx').setLevel(logging.WARNING)
  serve = network.module.serve_pixels
  model, _ = tf2onnx.convert.from_function(serve, serve.input_signature)
  return model

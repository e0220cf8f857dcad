"""ONNX, by tf2onnx, and ONNX Runtime."""

import functools
import logging

import numpy as np
from tensorflow.python.framework import convert_to_constants

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
    return ''

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
  _add_erfc()
  serve = network.module.serve_pixels.get_concrete_function()
  # What layers hold besides variables, as the mean of a `Normalization`, is a
  # constant in here; `tf2onnx.convert.from_function` takes it for an input.
  frozen = convert_to_constants.convert_variables_to_constants_v2(
    serve, lower_control_flow=False, aggressive_inlining=True
  )
  (pixels,), outputs = frozen.inputs, [t.name for t in frozen.outputs]
  names = dict(zip(outputs, sorted(serve.structured_outputs), strict=True))
  model, _ = tf2onnx.convert.from_graph_def(
    frozen.graph.as_graph_def(),
    input_names=[pixels.name],
    output_names=outputs,
    tensors_to_rename={pixels.name: portable.PIXELS, **names},
  )
  return model


@functools.cache
def _add_erfc():
  """Tell tf2onnx that erfc(x) = 1 - erf(x), which Keras' GELU is made of."""
  from tf2onnx import handler

  def convert(ctx, node, **_):
    (output,) = node.output
    one = ctx.make_const(f'{node.name}_one', np.float32(1)).output[0]
    node.type = 'Erf'
    ctx.insert_new_node_on_output('Sub', output, inputs=[one, output])

  handler.tf_op('Erfc').register_compat_handler(convert, version=9)

"""A server of TF Serving's gRPC interface, over a SavedModel."""

from concurrent import futures
import contextlib

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc


class _Service(prediction_service_pb2_grpc.PredictionServiceServicer):
  def __init__(self, network):
    self._network = network

  def Predict(self, request, context):  # noqa: N802
    signature = self._network.signatures[request.model_spec.signature_name]
    tensors = {
      name: tf.constant(tf.make_ndarray(proto))
      for name, proto in request.inputs.items()
    }
    response = predict_pb2.PredictResponse()
    for name, value in signature(**tensors).items():
      response.outputs[name].CopyFrom(tf.make_tensor_proto(value.numpy()))
    return response


@contextlib.contextmanager
def serving(network):
  """Serve a loaded SavedModel; yields the port."""
  server = grpc.server(futures.ThreadPoolExecutor(2))
  prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
    _Service(network), server
  )
  port = server.add_insecure_port('127.0.0.1:0')
  server.start()
  try:
    yield port
  finally:
    server.stop(None).wait()

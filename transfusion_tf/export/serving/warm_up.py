"""Requests that TF Serving makes of a network before it answers others.

The first call of a signature takes a second or more. As TF Serving loads a
version, it makes the calls that it finds in the file `PATH`: a TFRecord of
messages `PredictionLog`.
"""

from collections.abc import Iterable
import os

from google.protobuf import descriptor_pb2
from google.protobuf import descriptor_pool
from google.protobuf import message_factory
from google.protobuf import text_format
import tensorflow as tf

from transfusion_tf import storage
from transfusion_tf.export import signatures

PATH = 'assets.extra/tf_serving_warmup_requests'
# A batch of another size is not traced anew, and needs no request.
SIGNATURES = (
  signatures.SERVING_DEFAULT,
  signatures.SERVE,
  signatures.SERVE + signatures.PREPARED,
)
# What of prediction_log.proto, predict.proto and model.proto a request takes,
# with the field numbers of TF Serving. Its package, tensorflow-serving-api,
# cannot be installed beside TensorFlow's wheel for TPUs. On the wire a map is
# repeated entries, and a message is its bytes.
_SCHEMA = """
  name: "warm_up.proto"
  syntax: "proto3"
  message_type {
    name: "PredictionLog"
    field {
      name: "predict_log" number: 6
      label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: "PredictLog"
    }
  }
  message_type {
    name: "PredictLog"
    field {
      name: "request" number: 1
      label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: "PredictRequest"
    }
  }
  message_type {
    name: "PredictRequest"
    field {
      name: "model_spec" number: 1
      label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: "ModelSpec"
    }
    field {
      name: "inputs" number: 2
      label: LABEL_REPEATED type: TYPE_MESSAGE type_name: "InputsEntry"
    }
  }
  message_type {
    name: "ModelSpec"
    field {
      name: "signature_name" number: 3 label: LABEL_OPTIONAL type: TYPE_STRING
    }
  }
  message_type {
    name: "InputsEntry"
    field { name: "key" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
    field { name: "value" number: 2 label: LABEL_OPTIONAL type: TYPE_BYTES }
  }
"""


def write(directory: str, files: Iterable[bytes]) -> None:
  """Add the requests to a SavedModel.

  Args:
    directory: The SavedModel, on this machine.
    files: Images that one request holds.
  """
  path = os.path.join(directory, PATH)
  tensor = tf.make_tensor_proto(list(files), tf.string)
  with storage.convert_write_errors(path):
    storage.makedirs(os.path.dirname(path))
    with tf.io.TFRecordWriter(path) as writer:
      for name in SIGNATURES:
        writer.write(_log(name, tensor).SerializeToString())


def _log(signature_name, tensor):
  """Return the request of one signature."""
  value = tensor.SerializeToString(deterministic=True)
  return _prediction_log()(
    predict_log={
      'request': {
        'model_spec': {'signature_name': signature_name},
        'inputs': [{'key': signatures.IMAGE_BYTES, 'value': value}],
      }
    }
  )


def _prediction_log():
  schema = text_format.Parse(_SCHEMA, descriptor_pb2.FileDescriptorProto())
  pool = descriptor_pool.DescriptorPool()  # Not everybody's.
  pool.Add(schema)
  descriptor = pool.FindMessageTypeByName('PredictionLog')
  return message_factory.GetMessageClass(descriptor)

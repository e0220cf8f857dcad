"""Times the first calls of an export; a process that has TensorFlow alone.

python -I first_call.py EXPORT_DIR cold|warm

It prints the seconds of the first and the second call of `serve` with a picture
of 2000 pixels a side. If `warm`, the requests for TF Serving come before them.
"""

import gc
import json
import sys
import time

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

_REQUESTS = 'assets.extra/tf_serving_warmup_requests'
_SIDE = 2000


def _picture():
  x = np.linspace(-1, 1, _SIDE)
  light = np.maximum(0, 1 - x**2 - x[:, None] ** 2)
  return tf.io.encode_jpeg(np.uint8(light[..., None] * (220, 110, 50)))


def _call(network, name, files):
  start = time.perf_counter()
  for output in network.signatures[name](image_bytes=files).values():
    output.numpy()
  return time.perf_counter() - start


def _warm_up(network, directory):
  start = time.perf_counter()
  path = f'{directory}/{_REQUESTS}'
  for record in tf.data.TFRecordDataset(path).as_numpy_iterator():
    log = prediction_log_pb2.PredictionLog.FromString(record)
    request = log.predict_log.request
    files = tf.make_ndarray(request.inputs['image_bytes'])
    _call(network, request.model_spec.signature_name, files)
  return time.perf_counter() - start


def _main(directory, kind):
  network = tf.saved_model.load(directory)
  picture = _picture()
  seconds = {'warm_up': _warm_up(network, directory) if kind == 'warm' else 0}
  for name in ('first', 'second'):
    seconds[name] = _call(network, 'serve', picture[None])
  print(json.dumps(seconds))


if __name__ == '__main__':
  _main(*sys.argv[1:])
  gc.freeze()  # It would visit all of TensorFlow at the end, for a second.

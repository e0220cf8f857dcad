"""TF Serving's rules from JSON to tensors and back, as its manual has them.

https://www.tensorflow.org/tfx/serving/api_rest: `instances` is a row each and
`inputs` a column each; `{"b64": ...}` is bytes; an answer has the form of its
request.
"""

import base64
import json

import numpy as np
import tensorflow as tf


def answer(network, request: str) -> dict:
  """What a server answers to a request, by the signature that it names."""
  request = json.loads(request)
  name = request.pop('signature_name', 'serving_default')
  signature = network.signatures[name]
  _, specs = signature.structured_input_signature
  ((form, values),) = request.items()
  if form == 'instances':
    columns = _columns(values, list(specs))
  else:
    columns = values if isinstance(values, dict) else {min(specs): values}
  tensors = {
    key: tf.constant(_decoded(column), specs[key].dtype)
    for key, column in columns.items()
  }
  outputs = {k: _plain(v.numpy()) for k, v in signature(**tensors).items()}
  if form == 'inputs':
    return {'outputs': outputs}
  rows = zip(*outputs.values(), strict=True)
  return {'predictions': [dict(zip(outputs, row, strict=True)) for row in rows]}


def _columns(rows, names):
  if len(names) == 1 and not any(set(row) == set(names) for row in rows):
    return {names[0]: rows}  # The only input need not be named.
  return {name: [row[name] for row in rows] for name in names}


def _decoded(value):
  if isinstance(value, dict):
    return base64.b64decode(value['b64'], validate=True)
  return [_decoded(v) for v in value] if isinstance(value, list) else value


def _plain(array: np.ndarray):
  if array.dtype == object:  # No output's name ends in `_bytes`.
    return np.char.decode(array.astype(bytes), 'utf-8').tolist()
  return array.tolist()

"""Requests to a server of an exported network, and its answers.

The requests are those of TF Serving's REST interface; the answers are the
network's own, in TF Serving's form.
"""

import base64
from collections.abc import Callable, Mapping
import dataclasses
import json
import re
from typing import Any

import numpy as np
import tensorflow as tf

from transfusion_tf.export import signatures

_SIDE = 32
_ORANGE = (220, 110, 50)
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"')
_MARKUP = re.compile('[<>&`[]')


@dataclasses.dataclass(frozen=True)
class Example:
  """What is sent for one picture and one empty file, and the answer.

  Attributes:
    rows: The request, a row for each file.
    row_answer: Its answer.
    columns: The request, a column for each input.
    column_answer: Its answer.
    printed: The answer's `status` and `probabilities` as NumPy prints them.
  """

  rows: str
  row_answer: str
  columns: str
  column_answer: str
  printed: str


def picture() -> bytes:
  """Return a small JPEG of a lit disc on black, which is nobody's."""
  x = np.linspace(-1, 1, _SIDE)
  distance = x**2 + x[:, None] ** 2
  light = np.where(distance < 0.9, 1 - distance / 2, 0)
  pixels = np.uint8(light[..., None] * _ORANGE)
  return tf.io.encode_jpeg(pixels, quality=50, optimize_size=True).numpy()


def make(serve: Callable[..., Mapping[str, tf.Tensor]]) -> Example:
  """Return the example of a network.

  Args:
    serve: Its signature `serve`.
  """
  files = [picture(), b'']
  outputs = {k: v.numpy() for k, v in sorted(serve(tf.constant(files)).items())}
  columns = {name: _plain(values) for name, values in outputs.items()}
  encoded = [{'b64': base64.b64encode(file).decode()} for file in files]
  return Example(
    rows=_json({'instances': encoded}),
    row_answer=_lines(
      '{"predictions": [',
      (
        _json(dict(zip(columns, row, strict=True)))
        for row in zip(*columns.values(), strict=True)
      ),
      ']}',
    ),
    columns=_json(
      {
        'signature_name': signatures.SERVE,
        'inputs': {signatures.IMAGE_BYTES: encoded},
      }
    ),
    column_answer=_lines(
      '{"outputs": {',
      (f'{_json(name)}: {_json(values)}' for name, values in columns.items()),
      '}}',
    ),
    printed=f'{outputs["status"]}\n{outputs["probabilities"]}',
  )


def _plain(values: np.ndarray) -> Any:
  """Return an array as lists; float32 with as many digits as it has."""
  if values.dtype == object:
    return np.char.decode(values.astype(bytes), 'utf-8').tolist()
  if values.dtype == np.float32:
    return values.astype(str).astype(float).tolist()
  return values.tolist()


def _json(value: Any) -> str:
  """Return JSON without the characters by which Markdown or HTML begins."""

  def escape(string):
    return _MARKUP.sub(lambda found: f'\\u{ord(found[0]):04x}', string[0])

  return _STRINGS.sub(escape, json.dumps(value))


def _lines(begin, values, end):
  return '\n'.join([begin, ',\n'.join(f'  {value}' for value in values), end])

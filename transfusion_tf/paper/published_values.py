"""The paper's numbers, and its statements in our words, as data.

values/tables.csv          Tables 1 to 5, cell by cell; AUCs in percent
values/captions.json       what each table and figure shows, in our words
values/contradictions.json where the paper contradicts itself or the code
values/choices.json        what we chose where it is silent
values/claims.json         the nineteen claims, where the paper makes them, and
                           why the scale of a study may matter

Source of all: Raghu, Zhang, Kleinberg, Bengio: Transfusion: Understanding
Transfer Learning for Medical Imaging, NeurIPS 2019, arXiv 1902.07208.
"""

import csv
import dataclasses
import functools
from importlib import resources
import json
from typing import Any


@dataclasses.dataclass(frozen=True)
class Value:
  """A printed value and its text; `std` is the number after ±."""

  value: float
  std: float | None
  text: str


def table(
  target: str, model: str, initialization: str, images: int | str, column: str
) -> Value | None:
  """Return a cell of Tables 1 to 5; None where the paper has none."""
  return _tables().get((target, model, initialization, str(images), column))


@functools.cache
def read(name: str) -> Any:
  """Return the content of values/NAME.json."""
  return json.loads(_file(f'{name}.json').read_text(encoding='utf-8'))


@functools.cache
def _tables():
  with _file('tables.csv').open(encoding='utf-8', newline='') as file:
    rows = list(csv.DictReader(file))
  names = ('target', 'model', 'start', 'images', 'column')
  return {tuple(row[n] for n in names): _value(row) for row in rows}


def _value(row):
  text = f'{row["value"]} ± {row["sd"]}' if row['sd'] else row['value']
  std = float(row['sd']) if row['sd'] else None
  return Value(float(row['value']), std, text)


def _file(name):
  return resources.files('transfusion_tf.paper') / 'values' / name

"""The least time of a training step on a TPU, by network, size and batch.

The table, step_bounds.csv, is that of docs/tpu.md, for plans of studies. A step
that nobody has compiled is taken to scale with its pixels, from the step of the
same network that is the nearest to it.
"""

from collections.abc import Iterable
import csv
import functools
import io
import math
import pathlib
from typing import NamedTuple

from transfusion_tf import config
from transfusion_tf.tpu import cells as cells_lib

PATH = pathlib.Path(__file__).with_name('step_bounds.csv')
# What a network that is not in the table is taken for.
_USUAL = 'resnet50'


class Bound(NamedTuple):
  """A line of the table."""

  generation: str
  model: str
  image_size: int
  batch_size: int
  precision: str
  milliseconds: float

  @property
  def pixels(self) -> int:
    """Those of a batch."""
    return self.image_size**2 * self.batch_size


def text(cells: Iterable[cells_lib.Cell]) -> str:
  """Return the table of compiled cells as CSV."""
  bounds = sorted(
    Bound(
      cell.topology.split(':')[0],
      cell.model,
      cell.image_size,
      cell.batch_size,
      cell.precision,
      round(1e3 * cell.bound, 3),
    )
    for cell in cells
    if (cell.step, cell.num_chips, cell.error) == ('train', 1, '')
  )
  buffer = io.StringIO()
  writer = csv.writer(buffer, lineterminator='\n')
  writer.writerow(Bound._fields)
  writer.writerows(bounds)
  return buffer.getvalue()


def seconds(experiment: config.Experiment, generation: str) -> float:
  """Return the least seconds of a training step on one chip."""
  precision = experiment.train.precision
  if precision == 'auto':  # What it is on TPUs.
    precision = 'mixed_bfloat16'
  name, batch = experiment.model.name, experiment.train.batch_size
  pixels = experiment.data.image_size**2 * batch
  table = _table()
  known = {bound.model for bound in table}
  nearest = min(
    (
      bound
      for bound in table
      if bound.generation == generation
      and bound.model == (name if name in known else _USUAL)
      and bound.precision == precision
    ),
    key=lambda bound: (
      abs(math.log(bound.batch_size / batch)),
      abs(math.log(bound.pixels / pixels)),
    ),
  )
  return nearest.milliseconds / 1e3 * pixels / nearest.pixels


@functools.cache
def _table() -> list[Bound]:
  with open(PATH, encoding='utf-8', newline='') as file:
    return [
      Bound(
        row['generation'],
        row['model'],
        int(row['image_size']),
        int(row['batch_size']),
        row['precision'],
        float(row['milliseconds']),
      )
      for row in csv.DictReader(file)
    ]

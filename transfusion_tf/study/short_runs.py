"""Short runs of a network, which tell what longer ones cost.

A network is compiled, and trained for a few steps as a study does: what its
steps and evaluations do not take, a run costs whatever its length.
"""

import contextlib
import dataclasses
import io
import math
import os
import time

import numpy as np

from transfusion_tf import config
from transfusion_tf import storage
from transfusion_tf.input_pipeline import tfds_folder
from transfusion_tf.run import build as run_lib
from transfusion_tf.run import network as network_lib
from transfusion_tf.run import train_and_evaluate
from transfusion_tf.study import run_cost

RECORD = 'cost.json'
# Steps of the first run, and between its evaluations; a second one has as many
# as take a few seconds.
_STEPS, _EVERY = 12, 4
_LONG_SECONDS, _LAST_START = 3.0, 14.0


def measure(
  experiment: config.Experiment,
  with_weights: config.Experiment | None,
  folder: str,
  shared: network_lib.Shared,
) -> None:
  """Write the cost of a network to a file.

  Args:
    experiment: A run from random weights.
    with_weights: One from pretrained weights, if the network has any;
      `init.pretrained` is empty where the study makes them.
    folder: Where the runs are made, and the file, `RECORD`, is written. Beside
      the cost it has the seconds of all that, `measured`.
    shared: Of the process.
  """
  began = time.monotonic()
  compiling, image = _compile(experiment, shared)
  short, long, started = (
    os.path.join(folder, name) for name in ('short', 'long', 'started')
  )
  first = _run(experiment, short, _STEPS, _EVERY, shared)
  # Later runs have compiled what the first steps had to.
  extra = max(first.parts[0] - _EVERY * first.step, 0.0)
  cost = run_cost.Cost(
    compiling + extra, first.rest, 0.0, first.step, first.evaluation
  )
  # Small networks have the time for a longer run, and for one from weights.
  if time.monotonic() - began < _LAST_START:
    half = math.ceil(_LONG_SECONDS / 2 / max(first.step, 1e-3))
    second = _run(experiment, long, 2 * half, half, shared)
    cost = dataclasses.replace(
      cost, run=second.rest, step=second.step, evaluation=second.evaluation
    )
  if with_weights is not None and time.monotonic() - began < _LAST_START:
    if not with_weights.init.pretrained:
      with_weights = config.override(with_weights, {'init.pretrained': short})
    third = _run(with_weights, started, _EVERY, _EVERY, shared)
    known = cost.run + third.parts[0] + 2 * cost.evaluation
    weights = max(third.seconds - known, 0.0)
    cost = dataclasses.replace(cost, weights=weights)
  record = vars(cost) | {'image': image, 'measured': time.monotonic() - began}
  storage.write_json(os.path.join(folder, RECORD), record)


def _compile(experiment, shared):
  """Build and compile a network; return how long that and an image take."""
  began = time.monotonic()
  built = run_lib.build(experiment, shared=shared)
  predict = built.predictor()
  predict(tfds_folder.VALIDATION)
  compiled = time.monotonic()
  predict(tfds_folder.VALIDATION)
  again = time.monotonic() - compiled
  count = built.source.prepared.num_examples(tfds_folder.VALIDATION)
  return max(compiled - began - again, 0.0), again / count


@dataclasses.dataclass(frozen=True)
class _Timed:
  """A short run.

  Attributes:
    seconds: Of all of it.
    parts: Of the steps between two evaluations.
    step: Of a step, the first part apart where there are others.
    evaluation: Of an evaluation and its checkpoint.
  """

  seconds: float
  parts: tuple[float, ...]
  step: float
  evaluation: float

  @property
  def rest(self) -> float:
    """The seconds of what is neither a step nor an evaluation."""
    evaluations = self.evaluation * (len(self.parts) + 1)
    return max(self.seconds - sum(self.parts) - evaluations, 0.0)


def _run(experiment, run_dir, steps, every, shared) -> _Timed:
  """Train a few steps."""
  few = config.override(
    experiment,
    {
      'train.train_steps': steps,
      'train.eval_every': every,
      'train.patience': 0,
      'train.min_steps': 0,
      'train.probe_steps': 0,
    },
  )
  ends, parts = [], []

  def on_row(row, throughput):
    ends.append(time.monotonic())
    if throughput is not None:
      images = every * few.train.batch_size
      parts.append(images / throughput.images_per_second)

  began = time.monotonic()
  with contextlib.redirect_stdout(io.StringIO()):
    train_and_evaluate.run(few, run_dir, None, shared, on_row)
  seconds = time.monotonic() - began
  between = np.diff(ends) - parts
  settled = parts[1:] or parts
  return _Timed(
    seconds,
    tuple(parts),
    float(np.mean(settled)) / every,
    max(float(np.mean(between[1:] if len(parts) > 1 else between)), 0.0),
  )

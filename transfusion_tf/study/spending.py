"""What the missing runs of a study take of a disk, and of a bucket.

docs/buckets.md has the requests, as they were counted.
"""

from collections.abc import Mapping
import dataclasses
import math

from transfusion_tf import config
from transfusion_tf.study import run_cost

# Requests of a bucket: to write a checkpoint, to delete an earlier one, of an
# evaluation, and of the lease.
_WRITTEN, _DELETED, _ROW, _LEASE_A_MINUTE = 7, 4, 5, 3
_READ_AT_ONCE = 16 * 2**20  # Bytes.
_NUMBER = 4  # Bytes.
_COPIES = {'adam': 3, 'sgd': 2}  # The weights, and what optimizers keep.
# Beside the newest: the first, and the best.
_KEPT_ANYWAY = 2


@dataclasses.dataclass(frozen=True)
class Spending:
  """What runs take.

  Attributes:
    storage: Bytes of checkpoints, at most.
    requests: Of a bucket.
  """

  storage: float = 0.0
  requests: int = 0

  def __add__(self, other: 'Spending') -> 'Spending':
    return Spending(
      self.storage + other.storage, self.requests + other.requests
    )


@dataclasses.dataclass(frozen=True)
class Sizes:
  """What spending depends on, beside the runs.

  Attributes:
    parameters: Network -> its weights; one that is not known counts none.
    splits: Data set -> split -> bytes; one that is not known counts none.
    examples: Data set -> its training images.
  """

  parameters: Mapping[str, int]
  splits: Mapping[str, Mapping[str, int]] = dataclasses.field(
    default_factory=dict
  )
  examples: Mapping[str, int] = dataclasses.field(default_factory=dict)


def of_run(
  experiment: config.Experiment, seconds: float, sizes: Sizes
) -> Spending:
  """Return what a run takes.

  Args:
    experiment: The run, its length in steps.
    seconds: How long it takes.
    sizes: Of networks and data.
  """
  checkpoints = 1 + run_cost.num_checkpoints(experiment)
  kept = min(checkpoints, experiment.runtime.keep_checkpoints + _KEPT_ANYWAY)
  copies = _COPIES.get(experiment.optimizer.name, max(_COPIES.values()))
  parameters = sizes.parameters.get(experiment.model.name, 0)
  evaluations = run_cost.num_evaluations(experiment)
  requests = checkpoints * _WRITTEN + (checkpoints - kept) * _DELETED
  requests += evaluations * _ROW + math.ceil(seconds / 60) * _LEASE_A_MINUTE
  requests += _reading(experiment, evaluations, sizes)
  return Spending(kept * copies * parameters * _NUMBER, requests)


def _reading(experiment, evaluations, sizes):
  """Return the requests that read the pictures."""
  data = experiment.data.dataset
  splits = sizes.splits.get(data, {})
  train, validation = (
    math.ceil(splits.get(name, 0) / _READ_AT_ONCE)
    for name in ('train', 'validation')
  )
  images = experiment.train.train_steps * experiment.train.batch_size
  epochs = images / max(sizes.examples.get(data, 0), 1)
  passes = math.ceil(epochs) if sizes.examples.get(data) else 0
  return passes * train + evaluations * validation

"""How well what was written agrees with the run, on stored images.

N is the number of images, K of outputs.
"""

from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import math

import numpy as np
import tensorflow as tf

from transfusion_tf import errors
from transfusion_tf.run import build as run_lib

_BATCH_SIZE = 16


@dataclasses.dataclass(frozen=True)
class Batch:
  """Some images.

  Attributes:
    encoded: Their stored files, string [N].
    pixels: The same as the run reads them, float32 [N, C, C, 3].
  """

  encoded: tf.Tensor
  pixels: np.ndarray


# A batch -> its probabilities [N, K].
Classify = Callable[[Batch], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Agreement:
  """How well one file agrees.

  Attributes:
    difference: Largest difference of any probability.
    score: The run's primary metric of the file; NaN where it is not defined.
  """

  difference: float
  score: float

  @property
  def score_text(self) -> str:
    """The score as it is printed."""
    return score_text(self.score)


class StoredImages:
  """The first images of the test split, or of the last, and their labels.

  Attributes:
    split: Name of the split.
    count: Number of images.
    expected: The probabilities [N, K] with which others are compared.
    score: The run's primary metric of them.
  """

  def __init__(self, run: run_lib.Run, most: int):
    """Classify the images.

    Args:
      run: The run.
      most: The most images to take; 0 takes all.
    """
    self._run = run
    source = run.source.prepared
    is_there = source.scored_split in source.splits
    self.split = source.scored_split if is_there else source.splits[-1]
    total = source.num_examples(self.split)
    self.count = min(most, total) if most else total
    self.expected = self.classify(lambda batch: probabilities(run, batch))
    self.score = self._score(self.expected)

  @property
  def score_text(self) -> str:
    """The score as it is printed."""
    return score_text(self.score)

  def classify(self, classify: Classify) -> np.ndarray:
    """Return the probabilities [N, K] of all images."""
    with _whole_float32():
      return np.concatenate([classify(batch) for batch in self._batches()])

  def compare(self, classify: Classify) -> Agreement:
    """Return how well a function agrees with the run."""
    found = self.classify(classify)
    difference = np.max(np.abs(found - self.expected))
    return Agreement(float(difference), self._score(found))

  def _score(self, probabilities):
    run = self._run
    try:
      known = run.labels(self.split)
    except errors.InputError:  # Of another site, by names of its own.
      return math.nan
    labels = tf.nest.map_structure(lambda label: label[: self.count], known)
    name = run.primary_metric
    metric = run.task.metrics(probabilities, labels, [name])[name]
    return math.nan if metric.undefined else float(metric.value())

  def _batches(self) -> Iterator[Batch]:
    source = self._run.source
    records = source.prepared.records(self.split).take(self.count)
    for batch in records.batch(_BATCH_SIZE):
      encoded = [source.prepared.parse(record)['image'] for record in batch]
      read = [source.reader.evaluation(file) for file in encoded]
      yield Batch(tf.stack(encoded), np.asarray(tf.stack(read), np.float32))


def score_text(score: float) -> str:
  """Return a score as it is printed."""
  return '–' if math.isnan(score) else f'{score:.4f}'


def probabilities(run: run_lib.Run, batch: Batch) -> np.ndarray:
  """Return the probabilities of a run itself."""
  return run.probabilities(tf.constant(batch.pixels)).numpy()


@contextlib.contextmanager
def _whole_float32():
  """Let GPUs multiply float32 as it is; by default they drop 13 bits of it."""
  settings = tf.config.experimental
  before = settings.tensor_float_32_execution_enabled()
  settings.enable_tensor_float_32_execution(False)
  try:
    yield
  finally:
    settings.enable_tensor_float_32_execution(before)

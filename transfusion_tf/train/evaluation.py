"""Scoring a whole split, each example exactly once."""

from collections.abc import Callable, Iterable, Iterator
import itertools

import numpy as np
import tensorflow as tf

from transfusion_tf import errors

_Forward = Callable[['tf.Tensor'], 'tf.Tensor']


class Passes:
  """Repeated passes over the batches of a split, all from one iterator.

  A new iterator for each pass would cost as much as a small pass, and deleting
  a distributed one more (see `pipeline._options`).
  """

  def __init__(self, endless: Iterable, num_batches: int):
    """Wrap `endless`, which repeats passes of `num_batches` each."""
    self._batches = iter(endless)
    self._num_batches = num_batches

  def __iter__(self) -> Iterator:
    """Iterate over the next pass; the previous one must be complete."""
    return itertools.islice(self._batches, self._num_batches)


class Evaluator:
  """Runs a function of images over a split, on every replica."""

  def __init__(
    self,
    strategy: tf.distribute.Strategy,
    forward: _Forward,
  ):
    """Compile `forward`: uint8 images [b, S, S, 3] -> outputs [b, K]."""

    @tf.function(autograph=False)
    def outputs(batch):
      scores = strategy.run(lambda b: forward(b['image']), (batch,))
      return [
        strategy.gather(x, axis=0)
        for x in (scores, batch['row'], batch['weight'])
      ]

    self._outputs = outputs

  def __call__(
    self,
    dataset: Iterable,
    num_examples: int,
    on_batch: Callable[[], None] = lambda: None,
  ) -> np.ndarray:
    """Return outputs in stored order: [num_examples, K] float32.

    Args:
      dataset: Distributed batches of `pipeline.evaluation`.
      num_examples: Size of the split.
      on_batch: Called after each batch.

    Raises:
      RunError: An output is not finite.
    """
    scores, counts = None, np.zeros(num_examples, int)
    for batch in dataset:
      outputs, row, weight = (x.numpy() for x in self._outputs(batch))
      on_batch()
      is_example = weight > 0
      if scores is None:
        scores = np.zeros((num_examples, outputs.shape[1]), outputs.dtype)
      scores[row[is_example]] = outputs[is_example]
      np.add.at(counts, row[is_example], 1)
    if scores is None or (counts != 1).any():
      raise AssertionError(
        f'scored {int(counts.sum())} times over {num_examples} examples; '
        'each must be scored exactly once'
      )
    if not np.isfinite(scores).all():
      raise errors.RunError(
        'the network puts out what are not finite numbers; lower '
        '--learning_rate'
      )
    return scores

"""Scores of a whole split: each example exactly once."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

_Forward = Callable[['tf.Tensor'], 'tf.Tensor']


class Evaluator:
  """Runs a function of images over a split, on every replica."""

  def __init__(self, strategy: tf.distribute.Strategy, forward: _Forward):
    """`forward` maps uint8 images [b, S, S, 3] to outputs [b, K]."""
    self._strategy = strategy

    @tf.function
    def outputs(batch):
      per_replica = strategy.run(lambda b: forward(b['image']), (batch,))
      return strategy.gather(per_replica, axis=0)

    self._outputs = outputs

  def __call__(
    self, dataset: 'tf.data.Dataset', num_examples: int
  ) -> np.ndarray:
    """Outputs in stored order: [num_examples, K] float32.

    Args:
      dataset: What `pipeline.evaluation` makes.
      num_examples: Size of the split.
    """
    found, seen = None, np.zeros(num_examples, int)
    for batch in self._strategy.experimental_distribute_dataset(dataset):
      outputs = self._outputs(batch).numpy()
      row, weight = (
        self._strategy.gather(batch[key], axis=0).numpy()
        for key in ('row', 'weight')
      )
      real = weight > 0
      if found is None:
        found = np.zeros((num_examples, outputs.shape[1]), outputs.dtype)
      found[row[real]] = outputs[real]
      np.add.at(seen, row[real], 1)
    if found is None or (seen != 1).any():
      raise AssertionError(
        f'scored {int(seen.sum())} times over {num_examples} examples; '
        'each must be scored exactly once'
      )
    return found

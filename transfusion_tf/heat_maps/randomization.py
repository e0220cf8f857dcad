"""A network with weights drawn anew, stage after stage from the head down.

The cascade of Adebayo et al., Sanity Checks for Saliency Maps (NeurIPS 2018):
a map that stays as it was while the weights are drawn anew shows the picture,
not what the network has learnt.
"""

from collections.abc import Iterator
from typing import NamedTuple

import keras
import numpy as np

from transfusion_tf.models import graph as graph_lib
from transfusion_tf.models import state as state_lib
from transfusion_tf.run import network as network_lib

TRAINED = 'trained'


class Level(NamedTuple):
  """A network that has lost a part of what it learnt.

  Attributes:
    name: `TRAINED`, or the lowest stage whose weights are drawn anew.
    draw: Number of the draw, from 1; 0 is no draw.
    is_all: Whether all weights are drawn.
  """

  name: str
  draw: int
  is_all: bool


def num_levels(network: network_lib.Network, num_draws: int) -> int:
  """Return how many levels there are for so many draws."""
  return len(_drawn_stages(network)) + num_draws


def levels(
  network: network_lib.Network, num_draws: int, seed: int = 0
) -> Iterator[Level]:
  """Yield the levels, each while the network has its weights.

  The trained network comes first, then the cascade of the first draw, then the
  other draws of all weights. At the end the trained weights are back.

  Args:
    network: A trained network.
    num_draws: Draws of all weights.
    seed: Seed of the draws.
  """
  model = network.model
  trained = [np.asarray(weight) for weight in model.weights]
  stage_of = _stage_of_weights(network)
  names = _drawn_stages(network)
  try:
    yield Level(TRAINED, 0, False)
    for draw in range(1, num_draws + 1):
      keras.utils.set_random_seed(seed + draw)
      drawn = network.initial_weights()
      for number, name in enumerate(names):
        is_all = number == len(names) - 1
        if draw > 1 and not is_all:
          continue
        lost = set(names[: number + 1])
        values = [
          new if stage in lost else old
          for new, old, stage in zip(drawn, trained, stage_of, strict=True)
        ]
        state_lib.assign(model, values)
        yield Level(name, draw, is_all)
  finally:
    state_lib.assign(model, trained)


def _drawn_stages(network):
  """Return the stages with weights, from the head down."""
  stages = set(_stage_of_weights(network))
  return [name for name in network.stages.names if name in stages][::-1]


def _stage_of_weights(network):
  return [
    network.stages.stage_of(weight.path)
    for weight in graph_lib.Graph(network.model).weights
  ]

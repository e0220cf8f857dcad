"""The maps of pictures at every level of the randomization test."""

from collections.abc import Callable, Sequence
import dataclasses

import numpy as np
import tensorflow as tf

from transfusion_tf.heat_maps import attribution
from transfusion_tf.heat_maps import compare
from transfusion_tf.heat_maps import randomization
from transfusion_tf.run import network as network_lib

# Name of a method -> its map.
METHODS: dict[str, Callable[[attribution.Maps], np.ndarray]] = {
  'Integrated gradients': lambda maps: maps.gradients,
  'Grad-CAM': lambda maps: maps.cam,
}


@dataclasses.dataclass(frozen=True)
class Explained:
  """A picture with its maps.

  Attributes:
    id: What it is called.
    image: uint8 [S, S, 3], what the network was given, before it is scaled.
    probabilities: [K] of the trained network.
    output: Number of the output that the maps are of.
    maps: `[level]` maps.
  """

  id: str
  image: np.ndarray
  probabilities: np.ndarray
  output: int
  maps: Sequence[attribution.Maps]


@dataclasses.dataclass(frozen=True)
class Result:
  """Pictures with their maps, and what random weights leave of these.

  Attributes:
    stage: The stage of Grad-CAM.
    levels: The trained network, the cascade, then further random networks.
    pictures: The pictures.
  """

  stage: str
  levels: Sequence[randomization.Level]
  pictures: Sequence[Explained]

  @property
  def cascade(self) -> list[int]:
    """The numbers of the levels of the trained network and the first draw."""
    return [n for n, level in enumerate(self.levels) if level.draw <= 1]

  def survival(self, method: str) -> compare.Survival:
    """Return what random weights leave of the maps of a method."""
    heat = METHODS[method]
    drawn = [
      [heat(picture.maps[number]) for picture in self.pictures]
      for number, level in enumerate(self.levels)
      if level.is_all
    ]
    return compare.survival([heat(p.maps[0]) for p in self.pictures], drawn)


def make(
  network: network_lib.Network,
  images: dict[str, np.ndarray],
  output: int | None = None,
  num_draws: int = 3,
  num_steps: int = 64,
  on_picture: Callable[[], None] = lambda: None,
) -> Result:
  """Make the maps of pictures.

  Args:
    network: A trained network, on one device.
    images: Id -> uint8 [C, C, 3].
    output: Number of the output; None for that of `attribution.explained`.
    num_draws: Draws of all weights.
    num_steps: Steps of integrated gradients.
    on_picture: Called after each picture of each level.
  """
  attribute = attribution.Attribution(
    network.model, network.stages, network.task, num_steps
  )
  stacked = np.stack(list(images.values()))
  prepared = [network.prepare_evaluation(i[None])[0] for i in stacked]
  black = network.prepare_evaluation(np.zeros_like(stacked[:1]))[0]
  probabilities = [network.probabilities(i[None])[0].numpy() for i in stacked]
  outputs = [
    attribution.explained(network.task, p) if output is None else output
    for p in probabilities
  ]
  levels: list[randomization.Level] = []
  maps: list[list[attribution.Maps]] = []
  for level in randomization.levels(network, num_draws):
    levels.append(level)
    maps.append([])
    for image, number in zip(prepared, outputs, strict=True):
      maps[-1].append(attribute(image, black, number))
      on_picture()
  side = prepared[0].shape[0]
  shown = [
    tf.cast(tf.image.resize(i, (side, side)), tf.uint8).numpy() for i in stacked
  ]
  pictures = map(
    Explained, images, shown, probabilities, outputs, zip(*maps, strict=True)
  )
  return Result(attribute.stage, levels, list(pictures))

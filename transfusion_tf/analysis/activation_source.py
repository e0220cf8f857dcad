"""The activations that a comparison reads."""

from collections.abc import Callable, Iterable, Sequence
import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from transfusion_tf import errors


@dataclasses.dataclass(frozen=True)
class ActivationSource:
  """Activations of several networks at several layers on the same images.

  Attributes:
    networks: Names, for messages and results.
    layers: Names, for the same.
    shapes: `[layer][network]` shape (..., C) of one image's activations.
    batches: Batches of images, readable more than once: arrays, or nests of
      arrays with as many rows.
    forward: A batch -> `[layer][network]` activations [B, ..., C], in a graph.
    num_images: Number of images, if known without counting.
  """

  networks: Sequence[str]
  layers: Sequence[str]
  shapes: Sequence[Sequence[tuple[int, ...]]]
  batches: Iterable[Any]
  forward: Callable[[Any], Sequence[Sequence[tf.Tensor]]]
  num_images: int | None = None

  @property
  def widths(self) -> list[list[int]]:
    """`[layer][network]` channels."""
    return [[shape[-1] for shape in shapes] for shapes in self.shapes]

  def positions(self) -> tuple[int, ...]:
    """Return h w of each layer.

    Raises:
      InputError: The networks' layers differ in height or width.
    """
    return tuple(map(self._positions, self.layers, self.shapes))

  def _positions(self, layer, shapes):
    maps = [shape[:-1] for shape in shapes]
    for network, other in zip(self.networks, maps, strict=True):
      if other != maps[0]:
        raise errors.InputError(
          f'{layer} is {_times(maps[0])} in {self.networks[0]} and '
          f'{_times(other)} in {network}; patches compare only where height '
          'and width agree'
        )
    return int(np.prod(maps[0]))

  def count_images(self, limit: int) -> int:
    """Return the number of images; counting ends at `limit`."""
    if self.num_images is not None:
      return min(self.num_images, limit)
    count = 0
    for batch in self.batches:
      count += num_rows(batch)
      if count >= limit:
        return limit
    return count


def num_rows(batch: Any) -> int:
  """Return B of a batch."""
  return len(tf.nest.flatten(batch)[0])


def rows(batch: Any, start: int, stop: int) -> Any:
  """Return the images `start` to `stop` of a batch."""
  return tf.nest.map_structure(lambda x: x[start:stop], batch)


def _times(shape):
  return 'x'.join(map(str, shape)) or '1'

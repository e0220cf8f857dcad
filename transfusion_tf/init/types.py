"""The words of initialization: a weight, where it starts, a source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
import dataclasses

from etils import epy
import numpy as np

from transfusion_tf import errors

with epy.lazy_imports():  # Help does without.
  import keras

Arrays = Mapping[str, np.ndarray]  # Path -> array.

KERNEL, BIAS, BN, STATE = ROLES = ('kernel', 'bias', 'bn', 'state')


@dataclasses.dataclass(frozen=True, eq=False)
class Source(Mapping[str, np.ndarray]):
  """{path: array} with a name for messages and reports."""

  arrays: Arrays
  name: str

  def __getitem__(self, path: str) -> np.ndarray:
    return self.arrays[path]

  def __iter__(self) -> Iterator[str]:
    return iter(self.arrays)

  def __len__(self) -> int:
    return len(self.arrays)


def name_of(source: Arrays) -> str:
  """Return what messages call a source; a plain dict has no name."""
  return getattr(source, 'name', 'the source')


@dataclasses.dataclass(frozen=True)
class Weight:
  """One weight of a model.

  Attributes:
    path: Its name in the model, e.g. `conv1.bn/gamma`.
    variable: The weight itself.
    layer: The layer that owns it.
    stage: Name of its stage.
    rng: Its own stream of random numbers.
  """

  path: str
  variable: keras.Variable
  layer: keras.layers.Layer
  stage: str
  rng: np.random.Generator

  @property
  def name(self) -> str:
    """The last part of its path: `kernel`, `gamma`, `moving_mean`, ..."""
    return self.path.rsplit('/', 1)[-1]

  @property
  def shape(self) -> tuple[int, ...]:
    return tuple(self.variable.shape)

  @property
  def role(self) -> str:
    """`bn` in batch norm and its kin, `bias`, `kernel`, or `state`.

    A state is what a layer without trainable weights keeps, such as the
    statistics of `keras.layers.Normalization`: no feature, and never drawn.
    """
    layers = keras.layers
    if isinstance(
      self.layer,
      layers.BatchNormalization
      | layers.GroupNormalization
      | layers.LayerNormalization,
    ):
      return BN
    if isinstance(self.layer, layers.Normalization):
      return STATE
    return BIAS if self.name == 'bias' else KERNEL


@dataclasses.dataclass(frozen=True)
class Start:
  """The values a weight starts with, and where they came from."""

  values: np.ndarray
  scheme: str
  source: Arrays | None = None
  note: str = ''


Scheme = Callable[[Weight], Start]


class Misfit(errors.InputError):
  """A source lacks a weight (`there` is None), or has it in another shape."""

  def __init__(
    self, source: Arrays, weight: Weight, there: tuple[int, ...] | None
  ):
    self.source, self.path, self.there = source, weight.path, there
    super().__init__(
      f'{weight.path}: {there or "nothing"} in {name_of(source)}, '
      f'{weight.shape} in the model'
    )

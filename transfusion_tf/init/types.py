"""Types of initialization: a weight, its initial value, a source of weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import dataclasses
from typing import Any

from etils import epy
import numpy as np

from transfusion_tf import errors
from transfusion_tf.models import graph as graph_lib

with epy.lazy_imports():  # Help does without.
  import keras

Arrays = Mapping[str, np.ndarray]  # Path -> array.
_MOST_LISTED = 4  # Weights of one kind that an error names.

ROLES = graph_lib.ROLES


class WeightSource(dict[str, np.ndarray]):
  """{path: array} with a name for messages and reports.

  Attributes:
    name: What messages call it.
    input: Kind of input that the weights were trained on
      (`input_pipeline.normalization`) as it is recorded with them, or empty.
    published_input: That of the published weights of the same architecture,
      or empty.
    model: The network that they are of, if the source holds it.
    trained_on: Kind of input that `model` takes, once it is known.
    layers: Description of the network, of `models.fingerprint`, if the source
      has no more of it.
  """

  def __init__(
    self,
    arrays: Arrays,
    name: str,
    input: str = '',
    published_input: str = '',
    model: keras.Model | None = None,
  ):
    super().__init__(arrays)
    self.name = name
    self.input = input
    self.published_input = published_input
    self.model = model
    self.trained_on = input
    self.layers: Sequence[Mapping[str, Any]] = ()


def name_of(source: Arrays) -> str:
  """Return what messages call a source; a plain dict has no name."""
  return getattr(source, 'name', 'the source')


@dataclasses.dataclass(frozen=True)
class Weight:
  """One weight to initialize.

  Attributes:
    weight: The weight in the model.
    stage: Name of its stage.
    rng: Its own stream of random numbers.
  """

  weight: graph_lib.Weight
  stage: str
  rng: np.random.Generator

  @property
  def path(self) -> str:
    """Its name in the model, e.g. `conv1.bn/gamma`."""
    return self.weight.path

  @property
  def variable(self) -> keras.Variable:
    return self.weight.variable

  @property
  def layer(self) -> keras.layers.Layer:
    """The layer that owns it."""
    return self.weight.layer

  @property
  def role(self) -> str:
    """One of `ROLES`."""
    return self.weight.role

  @property
  def name(self) -> str:
    """The last part of its path: `kernel`, `gamma`, `moving_mean`, ..."""
    return self.path.rsplit('/', 1)[-1]

  @property
  def shape(self) -> tuple[int, ...]:
    return tuple(self.variable.shape)


@dataclasses.dataclass(frozen=True)
class InitialValue:
  """The value of a weight before training, and its origin."""

  values: np.ndarray
  scheme: str
  source: Arrays | None = None
  note: str = ''


Scheme = Callable[[Weight], InitialValue]


class WeightMismatch(errors.InputError):
  """A source lacks a weight (`shape` is None), or has it in another shape."""

  def __init__(
    self, source: Arrays, weight: Weight, shape: tuple[int, ...] | None
  ):
    self.source, self.path, self.shape = source, weight.path, shape
    super().__init__(
      f'{weight.path}: {shape or "nothing"} in {name_of(source)}, '
      f'{weight.shape} in the model'
    )


def raise_on_mismatch(
  message: str, mismatches: Mapping[str, Sequence[str]]
) -> None:
  """Raise one InputError for all weights that do not fit, if there are any.

  Args:
    message: Its beginning.
    mismatches: Kind -> descriptions of weights; may be empty.
  """
  listed = [
    f'{kind}: {errors.listed(weights, _MOST_LISTED)}'
    for kind, weights in mismatches.items()
    if weights
  ]
  if listed:
    raise errors.InputError(f'{message}; {"; ".join(listed)}')

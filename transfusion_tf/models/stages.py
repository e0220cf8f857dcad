"""A model's stages: the units of transfusion, freezing and comparison.

The paper speaks of stages, never of layers: conv1, block1..block4 of a
ResNet, conv1..conv5 of a CBR (Sections 4 and 5). Here a stage is a name, the
weights that belong to it and the layer whose output represents it. A
user-defined model needs a few lines:

  stages.Stages.from_patterns({
      'conv1': 'Conv1|bn_Conv1',
      'blocks': '(expanded_conv|block_)',
      'head': 'predictions',
  }, model)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
import dataclasses
import re

from etils import epy

from transfusion_tf import errors

with epy.lazy_imports():  # Listing runs does without.
  import keras

HEAD = 'head'


@dataclasses.dataclass(frozen=True)
class Stage:
  """One stage of a model.

  Attributes:
    name: Its name in the paper's words, e.g. `block1`.
    pattern: A regular expression; weights whose path begins with it belong to
      the stage.
    endpoint: Name of the layer whose output represents the stage.
  """

  name: str
  pattern: str
  endpoint: str


@dataclasses.dataclass(frozen=True)
class Stages:
  """The stages of one model, from the input to the head."""

  stages: tuple[Stage, ...]

  @classmethod
  def from_patterns(
    cls, patterns: Mapping[str, str], model: keras.Model
  ) -> Stages:
    """Return stages by name and pattern; a stage ends at its last layer.

    Args:
      patterns: Stage name -> regular expression, from the input to the head.
      model: A model each of whose weights begins with just one pattern.

    Raises:
      InputError: A weight belongs to no stage or to several, or a pattern
        fits no layer.
    """
    endpoints = {}
    for layer in model.layers:
      for name, pattern in patterns.items():
        if re.match(pattern, layer.name):
          endpoints[name] = layer.name
    for name in patterns:
      if name not in endpoints:
        raise errors.InputError(
          f'stage {name!r}: no layer of {model.name} begins with '
          f'{patterns[name]!r}'
        )
    stages = cls(tuple(Stage(n, p, endpoints[n]) for n, p in patterns.items()))
    for variable in model.weights:
      stages.stage_of(path_of(variable, model))
    return stages

  def __iter__(self) -> Iterator[Stage]:
    return iter(self.stages)

  @property
  def names(self) -> tuple[str, ...]:
    return tuple(stage.name for stage in self.stages)

  def stage_of(self, path: str) -> str:
    """Return the name of the stage that the weight at `path` belongs to."""
    names = [s.name for s in self.stages if re.match(s.pattern, path)]
    if len(names) != 1:
      raise errors.InputError(
        f'weight {path} belongs to {names or "no stage"}; every weight needs '
        'just one: mend the patterns'
      )
    return names[0]

  def up_to(self, name: str) -> tuple[str, ...]:
    """Return the names from the input to stage `name`, which is included."""
    if name not in self.names:
      raise errors.unknown('stage', name, self.names)
    return self.names[: self.names.index(name) + 1]


def prefix_patterns(names: Iterable[str]) -> dict[str, str]:
  """Return patterns of layers that are named `<stage>` or `<stage>.<...>`."""
  return {name: rf'{re.escape(name)}\b' for name in names}


def path_of(variable: keras.Variable, model: keras.Model) -> str:
  """Return the path of a weight within `model`.

  Keras puts the name of a sequential or subclassed model, which counts the
  models of the process, before the paths of its weights.
  """
  return variable.path.removeprefix(f'{model.name}/')


def all_layers(model: keras.Model) -> list[keras.layers.Layer]:
  """Return a model's layers and those inside them, outer before inner."""
  # Public Keras lists the layers of nested models, not of composite layers.
  return model._flatten_layers()


def endpoint_layers(
  model: keras.Model, stages: Stages, names: Iterable[str]
) -> dict[str, str]:
  """Return the layer to read for each name of a stage or of a layer.

  Raises:
    InputError: A name is neither.
  """
  layers = sorted(layer.name for layer in model.layers)
  endpoints = {name: name for name in layers}
  endpoints |= {stage.name: stage.endpoint for stage in stages}
  for name in names:
    if name not in endpoints:
      raise errors.unknown('layer', name, [*stages.names, *layers])
  return {name: endpoints[name] for name in names}


def halve_widths(
  names: Sequence[str], channels: Sequence[int], slim_from: str
) -> tuple[int, ...]:
  """Return the `channels` of the stages, halved from `slim_from` up.

  The Slim hybrids of Section 5; an empty `slim_from` halves nothing.

  Raises:
    InputError: `slim_from` is none of `names`.
  """
  if not slim_from:
    return tuple(channels)
  if slim_from not in names:
    raise errors.unknown('stage to slim from', slim_from, names)
  start = names.index(slim_from)
  return (*channels[:start], *(c // 2 for c in channels[start:]))

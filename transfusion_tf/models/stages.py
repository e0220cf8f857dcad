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

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
import dataclasses
import re

from etils import epy

from transfusion_tf import errors
from transfusion_tf.models import graph as graph_lib
from transfusion_tf.models import stage_endpoints

with epy.lazy_imports():  # Listing runs does without.
  import keras

BODY, HEAD = 'body', 'head'


@dataclasses.dataclass(frozen=True)
class Stage:
  """One stage of a model.

  Attributes:
    name: Its name in the paper's words, e.g. `block1`.
    pattern: A regular expression; weights whose path begins with it belong to
      the stage.
    endpoint: Name of the layer whose output represents the stage, with the
      names of the models around it; empty if it lies inside a layer.
  """

  name: str
  pattern: str
  endpoint: str


@dataclasses.dataclass(frozen=True)
class Stages:
  """The stages of one model, from the input to the head."""

  stages: tuple[Stage, ...]
  _stage_of: Mapping[str, str] = dataclasses.field(default_factory=dict)

  @classmethod
  def from_patterns(
    cls, patterns: Mapping[str, str], model: keras.Model
  ) -> Stages:
    """Return stages by name and pattern.

    A pattern takes the weights whose path, and the layers whose name, begins
    with it; before the name of a layer inside a model may be the model's. A
    stage ends where its layers end, after sums of them with what passed them
    by, and before any layer that needs a later stage.

    Args:
      patterns: Stage name -> regular expression, from the input to the head.
      model: A model each of whose weights begins with just one pattern.

    Raises:
      InputError: A weight belongs to no stage or to several, a pattern fits no
        layer or is no regular expression, or a stage comes after a later one.
    """
    for name, pattern in patterns.items():
      _check_pattern(name, pattern)
    graph = graph_lib.Graph(model)
    stage_of = {
      weight.path: _only_stage(patterns, weight) for weight in graph.weights
    }
    endpoints = stage_endpoints.find(patterns, stage_of, graph)
    for name, pattern in patterns.items():
      if name not in endpoints and name not in stage_of.values():
        raise errors.InputError(
          f'stage {name!r}: no layer of {model.name} begins with {pattern!r}'
        )
    return cls(
      tuple(Stage(n, p, endpoints.get(n, '')) for n, p in patterns.items()),
      stage_of,
    )

  @classmethod
  def body_and_head(
    cls, graph: graph_lib.Graph, head: Collection[str]
  ) -> Stages:
    """Return two stages: the weights at the paths `head`, and all others."""
    stage_of = {
      weight.path: HEAD if weight.path in head else BODY
      for weight in graph.weights
    }
    endpoints = stage_endpoints.find({BODY: '', HEAD: ''}, stage_of, graph)
    paths = '|'.join(re.escape(path) for path in head)
    return cls(
      (
        Stage(BODY, rf'(?!({paths})$)', endpoints[BODY]),
        Stage(HEAD, rf'({paths})$', endpoints[HEAD]),
      ),
      stage_of,
    )

  def __iter__(self) -> Iterator[Stage]:
    return iter(self.stages)

  @property
  def names(self) -> tuple[str, ...]:
    return tuple(stage.name for stage in self.stages)

  @property
  def readable(self) -> tuple[str, ...]:
    """The names of those whose output can be read."""
    return tuple(stage.name for stage in self.stages if stage.endpoint)

  def stage_of(self, path: str) -> str:
    """Return the name of the stage that the weight at `path` belongs to."""
    if path in self._stage_of:
      return self._stage_of[path]
    patterns = {stage.name: stage.pattern for stage in self.stages}
    return _one_of(_matching(patterns, [path]), path)

  def up_to(self, name: str) -> tuple[str, ...]:
    """Return the names from the input to stage `name`, which is included."""
    if name not in self.names:
      raise errors.unknown('stage', name, self.names)
    return self.names[: self.names.index(name) + 1]


def prefix_patterns(names: Iterable[str]) -> dict[str, str]:
  """Return patterns of layers that are named `<stage>` or `<stage>.<...>`."""
  return {name: rf'{re.escape(name)}\b' for name in names}


def _check_pattern(name, pattern):
  try:
    re.compile(pattern)
  except (re.error, TypeError) as error:
    raise errors.InputError(
      f'stage {name!r}: {pattern!r} is no regular expression: {error}'
    ) from None


def _matching(patterns, names):
  return [
    stage
    for stage, pattern in patterns.items()
    if any(re.match(pattern, name) for name in names)
  ]


def _one_of(stages, path):
  if len(stages) != 1:
    raise errors.InputError(
      f'weight {path} belongs to {stages or "no stage"}; every weight needs '
      'just one: mend the patterns'
    )
  return stages[0]


def _only_stage(patterns, weight):
  stages = _matching(patterns, [weight.path, *weight.aliases])
  return _one_of(stages, weight.path)


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

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
    endpoints = _endpoints(list(patterns), stage_of, patterns.get, graph)
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
    endpoints = _endpoints([BODY, HEAD], stage_of, lambda stage: '', graph)
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


def _endpoints(order, stage_of, pattern_of, graph):
  """Return stage -> name of the node that its output leaves.

  Args:
    order: The stages.
    stage_of: Path of a weight -> its stage.
    pattern_of: Stage -> what names of its layers without weights begin with.
    graph: The network.
  """
  held = [
    {order.index(stage_of[w.path]) for w in node.weights}
    for node in graph.nodes
  ]
  latest = []  # The last stage that each node needs, -1 for none.
  for number, node in enumerate(graph.nodes):
    before = max((latest[n] for n in node.ancestors), default=-1)
    if held[number] and min(held[number]) < before:
      _raise_order(order, held, graph, number, before)
    latest.append(max(before, *held[number], -1))
  endpoints = {}
  for index, name in enumerate(order):
    members = [
      number
      for number, node in enumerate(graph.nodes)
      if latest[number] <= index
      and held[number] <= {index}
      and (held[number] or _is_named(pattern_of(name), node))
    ]
    if members:
      last = _joined(members, latest, index, graph)
      later = [pattern_of(stage) for stage in order[index + 1 :]]
      for number in range(last + 1, len(graph.nodes)):
        node = graph.nodes[number]
        if (
          latest[number] <= index
          and not any(_is_named(pattern, node) for pattern in later)
          and _joins_shortcut(node, last, graph)
        ):
          last = number
      endpoints[name] = graph.nodes[last].name
  return endpoints


def _is_named(pattern, node):
  return any(re.match(pattern, alias) for alias in node.aliases)


def _joined(members, latest, index, graph):
  """Return the node where branches of a stage meet, or its last."""
  ends = [
    n
    for n in members
    if not any(n in graph.nodes[m].ancestors for m in members)
  ]
  if len(ends) > 1:
    for number, node in enumerate(graph.nodes):
      if latest[number] <= index and node.ancestors >= set(ends):
        return number
  return ends[-1]


def _joins_shortcut(node, last, graph):
  """Return whether a node joins what left `last` with what passed it by.

  The sum of a residual block belongs to its stage, whatever its name: Keras
  chooses that of `x + y`.
  """
  end = graph.nodes[last]
  if node.weights or last not in node.ancestors or node.shape != end.shape:
    return False
  parents = graph.parents(node)
  takes_image = len(parents) < len(node.inputs)
  return takes_image or any(graph.nodes[n] in parents for n in end.ancestors)


def _raise_order(order, held, graph, number, before):
  stage = order[min(held[number])]
  later = next(
    n for n in sorted(graph.nodes[number].ancestors) if before in held[n]
  )
  taken = [
    node.name
    for node, indices in zip(graph.nodes, held, strict=True)
    if order.index(stage) in indices
  ]
  raise errors.InputError(
    f'stage {stage!r} takes {errors.listed(list(dict.fromkeys(taken)), 6)}, '
    f'but {graph.nodes[number].name} comes after {graph.nodes[later].name} of '
    f'the later stage {order[before]!r}: mend the patterns or their order'
  )


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

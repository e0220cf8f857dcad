"""Where the output of each stage of a network leaves it."""

from __future__ import annotations

from collections.abc import Mapping
import re

from transfusion_tf import errors
from transfusion_tf.models import graph as graph_lib


def find(
  patterns: Mapping[str, str],
  stage_of: Mapping[str, str],
  graph: graph_lib.Graph,
) -> dict[str, str]:
  """Return stage -> name of the node that its output leaves.

  Args:
    patterns: Stage, from the input to the head -> regular expression that
      names of its layers without weights begin with.
    stage_of: Path of a weight -> its stage.
    graph: The network.

  Raises:
    InputError: A stage comes after a later one.
  """
  order = list(patterns)
  held = [
    {order.index(stage_of[w.path]) for w in node.weights}
    for node in graph.nodes
  ]
  latest: list[int] = []  # The last stage that each node needs, -1 for none.
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
      and (held[number] or _is_named(patterns[name], node))
    ]
    if members:
      last = _joined(members, latest, index, graph)
      later = [patterns[stage] for stage in order[index + 1 :]]
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

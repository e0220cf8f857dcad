"""A network as a graph: what computes what, and with which weights.

Keras describes a network by layers inside layers. Transfer, freezing, training
and analysis need the weights and what each is for, and what comes before what,
wherever a layer sits. `Graph` reads that off a model: functional and sequential
models inside it are opened; every other layer is one node.
"""

from __future__ import annotations

import collections
from collections.abc import Collection, Mapping
import dataclasses
from typing import Any

from etils import epy

with epy.lazy_imports():  # Listing runs does without.
  import keras
  from keras.src.models import functional

KERNEL, BIAS, BN, STATE = ROLES = ('kernel', 'bias', 'bn', 'state')
_BIASES = ('bias', 'recurrent_bias')


@dataclasses.dataclass(frozen=True, eq=False)
class Weight:
  """One weight of a network.

  Attributes:
    path: Its name, which no other weight of the network has.
    variable: The weight itself.
    layer: The innermost layer that owns it.
    role: `bn`: of a normalization; `bias`; `state`: kept by a layer but not
      trained, e.g. the statistics of `keras.layers.Normalization`, and never
      drawn; `kernel`: all else.
    aliases: Its path with the names of more or fewer of the models around it.
  """

  path: str
  variable: keras.Variable
  layer: keras.layers.Layer
  role: str
  aliases: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class Node:
  """One call of a layer or an operation.

  Attributes:
    names: The names of the models around the layer, and its own.
    operation: The layer, or an operation of `keras.ops`.
    weights: Its weights and those of the layers inside it.
    outputs: Its tensors' numbers in the graph.
    ancestors: The numbers of the nodes that it depends on.
    inputs: `id` of a Keras tensor that it takes -> the tensor's number.
  """

  names: tuple[str, ...]
  operation: Any
  weights: tuple[Weight, ...]
  outputs: tuple[int, ...]
  ancestors: frozenset[int]
  inputs: Mapping[int, int]
  _call: Any

  @property
  def name(self) -> str:
    """`layer`, or `model/layer` in a model inside the network."""
    return '/'.join(self.names)

  @property
  def shape(self) -> tuple[int | None, ...]:
    """The shape of its first output."""
    return tuple(self._call.output_tensors[0].shape)

  @property
  def aliases(self) -> tuple[str, ...]:
    """Its name with the names of fewer and fewer of the models around it."""
    return tuple(
      '/'.join(self.names[start:]) for start in range(len(self.names))
    )

  def run(self, values: dict[int, Any], **call_args: Any) -> None:
    """Compute its outputs from `values`, and add them."""
    tensors = {key: values[number] for key, number in self.inputs.items()}
    args, kwargs = self._call.arguments.fill_in(tensors)
    kwargs |= {
      name: value
      for name, value in call_args.items()
      if name in getattr(self.operation, '_call_context_args', {})
    }
    outputs = keras.tree.flatten(self.operation(*args, **kwargs))
    values.update(zip(self.outputs, outputs, strict=True))


class Graph:
  """The nodes and weights of a model.

  Attributes:
    weights: In the order of `model.weights`.
    nodes: Each after those that it depends on; empty if the model is no graph
      of layers.
    inputs: The numbers of the tensors that the model is given.
    outputs: The numbers of those that it returns.
  """

  def __init__(self, model: keras.Model):
    self._weights: dict[int, Weight] = {}
    self.nodes: list[Node] = []
    self._producers: dict[int, int] = {}  # Tensor -> node.
    self._count = 0
    self.inputs: tuple[int, ...] = ()
    self.outputs: tuple[int, ...] = ()
    graph = _opened(model)
    places: dict[int, tuple[str, ...]] = {}
    if graph is not None:
      self.inputs = tuple(self._number() for _ in graph.inputs)
      calls = list(_calls(graph, ()))
      for names, call in calls:
        for variable in getattr(call.operation, 'weights', ()):
          places.setdefault(id(variable), names)
    for weight in _weights(model, places):
      self._weights[id(weight.variable)] = weight
    if graph is not None:
      self.outputs = self._add(graph, (), self.inputs)

  @property
  def weights(self) -> tuple[Weight, ...]:
    return tuple(self._weights.values())

  def producer(self, tensor: int) -> Node:
    """Return the node that a tensor leaves."""
    return self.nodes[self._producers[tensor]]

  def parents(self, node: Node) -> list[Node]:
    """Return the nodes whose tensors a node takes."""
    return [
      self.producer(tensor)
      for tensor in node.inputs.values()
      if tensor in self._producers
    ]

  def path(self, variable: keras.Variable) -> str:
    """Return the path of one of the model's weights."""
    return self._weights[id(variable)].path

  def find(self, name: str) -> int | None:
    """Return the number of the last node of this name, or None.

    The names of the models around a layer may be left out, and a model's own
    name stands for its last node.
    """
    found = None
    for number, node in enumerate(self.nodes):
      if name in node.aliases or name in _prefixes(node.names):
        found = number
    return found

  def run(
    self,
    inputs: Any,
    read: Collection[int],
    training: bool = False,
    inference: Collection[int] = (),
  ) -> dict[int, Any]:
    """Compute tensors of the graph, and no node that they do not need.

    Args:
      inputs: The model's one input, [B, ...].
      read: Numbers of the tensors.
      training: Whether layers behave as in training.
      inference: Numbers of nodes that do not.

    Returns:
      Number of a tensor -> its value.
    """
    values = dict.fromkeys(self.inputs, inputs)
    sources = {self._producers[t] for t in read if t in self._producers}
    needed = sources.union(*(self.nodes[n].ancestors for n in sources))
    for number in sorted(needed):
      self.nodes[number].run(
        values, training=training and number not in inference
      )
    return {tensor: values[tensor] for tensor in read}

  def between(self, ends: Collection[int]) -> frozenset[int]:
    """Return `ends` and the nodes that lie on a way from one to another."""
    ends = set(ends)
    above = set().union(*(self.nodes[n].ancestors for n in ends))
    inside = {n for n in above if self.nodes[n].ancestors & ends}
    return frozenset(ends | inside)

  def heads(self) -> list[int]:
    """Return the numbers of nodes with weights that no other such follows."""
    weighted = [n for n, node in enumerate(self.nodes) if node.weights]
    followed = {a for n in weighted for a in self.nodes[n].ancestors}
    return [n for n in weighted if n not in followed]

  def _number(self):
    self._count += 1
    return self._count - 1

  def _add(self, graph, names, inputs):
    """Add the nodes of a model; return the numbers of its outputs."""
    tensors = dict(zip(map(id, graph.inputs), inputs, strict=True))
    for call in _in_order(graph):
      if call.is_input:
        continue
      used = {id(x): tensors[id(x)] for x in call.input_tensors}
      operation = call.operation
      inner = _opened(operation)
      if inner is not None:
        given = [used[id(x)] for x in call.input_tensors]
        outputs = self._add(inner, (*names, operation.name), given)
      else:
        outputs = tuple(self._number() for _ in call.output_tensors)
        self._append(call, (*names, operation.name), used, outputs)
      tensors |= dict(zip(map(id, call.output_tensors), outputs, strict=True))
    return tuple(tensors[id(x)] for x in graph.outputs)

  def _append(self, call, names, used, outputs):
    parents = {
      self._producers[t] for t in used.values() if t in self._producers
    }
    ancestors = parents.union(*(self.nodes[p].ancestors for p in parents))
    owned = getattr(call.operation, 'weights', ())
    weights = tuple(
      self._weights[id(v)] for v in owned if id(v) in self._weights
    )
    node = Node(
      names, call.operation, weights, outputs, frozenset(ancestors), used, call
    )
    self._producers |= dict.fromkeys(outputs, len(self.nodes))
    self.nodes.append(node)


def layers(model: keras.Model) -> list[keras.layers.Layer]:
  """Return a model's layers and those inside them, outer before inner."""
  # Public Keras lists the layers of nested models, not of composite layers.
  return model._flatten_layers()


def _opened(layer):
  """Return the graph inside a functional or sequential model, else None."""
  if isinstance(layer, keras.Sequential):
    is_its_own = type(layer).call is not keras.Sequential.call
    return None if is_its_own else layer._functional
  if isinstance(layer, functional.Functional):
    is_its_own = type(layer).call is not functional.Functional.call
    return None if is_its_own else layer
  return None


def _in_order(graph):
  depths = graph._nodes_by_depth
  return [
    call for depth in sorted(depths, reverse=True) for call in depths[depth]
  ]


def _calls(graph, names):
  for call in _in_order(graph):
    at = (*names, call.operation.name)
    inner = _opened(call.operation)
    if inner is None:
      yield at, call
    else:
      yield from _calls(inner, at)


def _weights(model, places):
  """Yield the weights; `places` are the names of the layers on the way."""
  owners = {id(v): layer for layer in layers(model) for v in layer.weights}
  # Keras puts the name of a sequential or subclassed model, which counts the
  # models of the process, before the paths of its weights.
  is_functional = isinstance(model, functional.Functional)
  prefix = '' if is_functional else f'{model.name}/'
  paths = [v.path.removeprefix(prefix) for v in model.weights]
  counts = collections.Counter(paths)
  for variable, path in zip(model.weights, paths, strict=True):
    *around, _ = places.get(id(variable), ('',))
    local = path.removeprefix('/'.join((*around, '')))
    aliases = tuple(
      '/'.join((*around[start:], local)) for start in range(len(around) + 1)
    )
    if counts[path] > 1:
      path = aliases[0]  # Two models inside have layers of one name.
    layer = owners[id(variable)]
    yield Weight(path, variable, layer, _role(variable, layer), aliases)


def _role(variable, layer):
  normalizations = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.RMSNormalization,
  )
  if isinstance(layer, normalizations):
    return BN
  # `variable.trainable` also tells whether the layer is frozen now.
  if not any(variable is own for own in layer._trainable_variables):
    return STATE
  return BIAS if variable.name in _BIASES else KERNEL


def _prefixes(names):
  return ['/'.join(names[:end]) for end in range(1, len(names))]

"""What a network computes, as text: to notice that its code has changed.

A run keeps the description of its network. Weights that fit by name and shape
may belong to a function that was edited after training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import difflib
import json
import textwrap
from typing import Any

from etils import epy

from transfusion_tf import errors
from transfusion_tf.models import graph as graph_lib

with epy.lazy_imports():  # Listing runs does without.
  import keras

# No part of what a trained network computes, or the same by its name.
_IGNORED = {
  *('name', 'dtype', 'trainable', 'seed', 'function', 'batch_shape'),
  *('module', 'registered_name', 'build_config'),
}
_IGNORED_ENDS = ('_initializer', '_constraint')
_MOST_LISTED = 3


def describe(model: keras.Model) -> list[dict[str, Any]]:
  """Return a row for each call of a layer or operation, for JSON."""
  graph = graph_lib.Graph(model)
  rows = [
    {
      'layer': node.name,
      'class': type(node.operation).__name__,
      'inputs': [parent.name for parent in graph.parents(node)],
      'weights': {w.path: list(w.variable.shape) for w in node.weights},
      'config': _config(node.operation),
    }
    for node in graph.nodes
  ]
  return json.loads(json.dumps(rows, default=str))


def differences(
  trained: Sequence[Mapping[str, Any]],
  present: Sequence[Mapping[str, Any]],
  layer: str = '',
) -> str:
  """Return how a network differs from an earlier one, or ''.

  Args:
    trained: The description of the earlier one.
    present: The description of the network.
    layer: If given, only this layer and what it needs is compared.
  """
  if layer:
    trained, present = _needed(trained, layer), _needed(present, layer)
  changes = [
    *_listed('now has', _added(trained, present)),
    *_listed('no longer has', _added(present, trained)),
  ]
  if not changes:
    for old, new in zip(trained, present, strict=True):
      changes += _changed(old, new)
  return '; '.join(changes[:_MOST_LISTED])


def _needed(rows, layer):
  """Return the rows of a layer and of those that it takes, directly or not."""
  needed = {layer}
  kept = []
  for row in reversed(rows):
    if row['layer'] in needed:
      needed.update(row['inputs'])
      kept.append(row)
  return kept[::-1]


def _config(operation):
  try:
    config = keras.saving.serialize_keras_object(operation)['config']
  except Exception:  # A layer of the user's may not describe itself.
    return {}
  return _kept(config)


def _kept(value):
  """Return a config without what does not count, at any depth."""
  if isinstance(value, Mapping):
    return {
      key: _kept(inner)
      for key, inner in value.items()
      if key not in _IGNORED and not str(key).endswith(_IGNORED_ENDS)
    }
  if isinstance(value, list | tuple):
    return [_kept(inner) for inner in value]
  return value


def _added(rows, others):
  """Return the layers of `others` that are not, in this order, in `rows`."""
  one, two = (
    [(row['layer'], row['class']) for row in table] for table in (rows, others)
  )
  matcher = difflib.SequenceMatcher(None, one, two, autojunk=False)
  return [
    f'{name} ({class_name})'
    for tag, _, _, start, stop in matcher.get_opcodes()
    if tag in ('insert', 'replace')
    for name, class_name in two[start:stop]
  ]


def _listed(words, layers):
  return [f'{words} {errors.listed(layers, _MOST_LISTED)}'] if layers else []


def _changed(old, new):
  """Yield the changes of one layer."""
  name = new['layer']
  if old['inputs'] != new['inputs']:
    before, after = (', '.join(row['inputs']) for row in (old, new))
    yield f'{name} takes {after or "the image"}, took {before or "the image"}'
  if old['weights'] != new['weights']:
    yield f'{name} has weights {new["weights"]}, had {old["weights"]}'
  # Other versions of Keras describe more, or less.
  for key in sorted(old['config'].keys() & new['config'].keys()):
    before, after = old['config'][key], new['config'][key]
    if before != after:
      texts = [textwrap.shorten(str(x), 60) for x in (after, before)]
      yield f'{name} has {key} {texts[0]}, had {texts[1]}'

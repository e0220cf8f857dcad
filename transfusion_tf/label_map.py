"""The labels of a data set matched by name with the outputs of a network.

A prepared data set numbers its classes in its own order, and the one of another
site may use other names. The network defines the meaning of its outputs;
`match` maps the labels of any data set to it.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import functools
from typing import Any

import numpy as np
import tensorflow as tf

from transfusion_tf import errors
from transfusion_tf import output_names
from transfusion_tf import tasks

_EXAMPLES = 3  # Names of a data set that a message shows.


@dataclasses.dataclass(frozen=True)
class LabelMap:
  """A map from the labels of one data set to a network's outputs.

  Attributes:
    kind: `label`, `grade` or `findings`.
    outputs: Names [K] of the network's outputs.
    stored: Name in the data set -> name of its output, in the order of the
      data set, without the findings that have no output.
    unused: Findings of the data set that have no output.
  """

  kind: str
  outputs: tuple[str, ...]
  stored: Mapping[str, str]
  unused: tuple[str, ...] = ()

  def __call__(self, labels: Mapping[str, Any]) -> dict[str, Any]:
    """Translate stored labels into the network's terms.

    Args:
      labels: Feature key -> numbers of any shape, tensors or arrays; features
        other than `kind` are unchanged.
    """
    if self.is_identity:
      return dict(labels)
    if self.kind == output_names.FINDINGS:
      translated = self._findings(labels[self.kind])
    else:
      translated = _take(self._numbers, labels[self.kind])
    return {**labels, self.kind: translated}

  @functools.cached_property
  def is_identity(self) -> bool:
    """Whether the data set numbers and names labels as the network does."""
    same = all(name == output for name, output in self.stored.items())
    if self.kind == output_names.FINDINGS:  # Read by name, in any order.
      return same and set(self.stored) >= set(self.outputs)
    return same and tuple(self.stored) == self.outputs

  @property
  def absent(self) -> tuple[str, ...]:
    """The outputs that no label of the data set is mapped to."""
    present = set(self.stored.values())
    return tuple(name for name in self.outputs if name not in present)

  def notes(self, dataset: str) -> list[str]:
    """Return what is unusual about the data set called `dataset`, as lines."""
    notes = []
    if self.absent:
      lacks = ', '.join(self.absent)
      end = 'not scored' if self.kind == output_names.FINDINGS else 'no example'
      notes.append(f'{dataset} has no {lacks}: {end}')
    if self.unused:
      notes.append(
        f'{dataset} also has {", ".join(self.unused)}: no output means that'
      )
    renamed = [f'{a} is {b}' for a, b in self.stored.items() if a != b]
    if renamed:
      notes.append(f'{dataset} by another name: {", ".join(renamed)}')
    elif not self.is_identity and self.kind != output_names.FINDINGS:
      notes.append(f'{dataset} has its classes in another order')
    return notes

  @functools.cached_property
  def _numbers(self):
    """The number that the network gives to each class of the data set."""
    return np.array(
      [self.outputs.index(output) for output in self.stored.values()], np.int64
    )

  def _findings(self, states):
    name_of = {output: name for name, output in self.stored.items()}
    some = next(iter(states.values()))
    absent = some * 0 + tasks.ABSENT
    return {
      output: states[name_of[output]] if output in name_of else absent
      for output in self.outputs
    }


def match(
  kind: str,
  outputs: Sequence[str],
  stored_kind: str,
  stored: Sequence[str],
  dataset: str,
  class_map: Mapping[str, str] | None = None,
) -> LabelMap:
  """Match a data set's names with a network's.

  Args:
    kind: Kind of the network's outputs.
    outputs: Names of the outputs, in order.
    stored_kind: Kind of the data set's labels.
    stored: Names of the labels, in order.
    dataset: Name of the data set in messages.
    class_map: Name in the data set -> name of an output, where they differ.

  Raises:
    InputError: The data set has other labels, or other names for them.
  """
  if stored_kind != kind:
    raise errors.InputError(
      f'{dataset} has labels of kind {stored_kind or "none"} ('
      f'{errors.listed(stored)}), the network outputs of kind {kind} '
      f'({errors.listed(outputs)}); they cannot be matched'
    )
  class_map = class_map or {}
  for name, output in class_map.items():
    if name not in stored:
      raise errors.unknown(f'name of {dataset} in --class_map', name, stored)
    if output not in outputs:
      raise errors.unknown('output in --class_map', output, outputs)
  output_of = {name: class_map.get(name, name) for name in stored}
  known = {name: o for name, o in output_of.items() if o in outputs}
  unused = tuple(name for name in stored if name not in known)
  findings = kind == output_names.FINDINGS
  if not known or (unused and not findings):
    example = ','.join(f'{name}=OURS' for name in unused[:_EXAMPLES])
    raise errors.InputError(
      f'{dataset} has the names {errors.listed(stored)}, the outputs of the '
      f'network are {errors.listed(outputs)}: say which is which with '
      f'--class_map={example}'
    )
  if findings and len(set(known.values())) < len(known):
    raise errors.InputError(
      f'{dataset}: two findings are matched with one output '
      f'({", ".join(f"{a}={b}" for a, b in known.items())}); name one each in '
      '--class_map'
    )
  return LabelMap(kind, tuple(outputs), known, unused)


def parse(
  pairs: Sequence[str], stored: Sequence[str], outputs: Sequence[str]
) -> dict[str, str]:
  """Read `THEIRS=OURS` pairs; names may hold an equals sign themselves.

  Raises:
    InputError: A text is not a pair, or a name is given twice.
  """
  class_map: dict[str, str] = {}
  for text in pairs:
    splits = [
      (text[:at], text[at + 1 :]) for at, x in enumerate(text) if x == '='
    ]
    if not splits:
      raise errors.InputError(
        f'--class_map={text}: write it THEIRS=OURS, a name of the data set and '
        'that of an output'
      )
    known = [(a, b) for a, b in splits if a in stored and b in outputs]
    name, output = (known or splits)[0]
    if name in class_map:
      raise errors.InputError(f'--class_map: {name!r} is there twice')
    class_map[name] = output
  return class_map


def _take(numbers, labels):
  if tf.is_tensor(labels):
    return tf.gather(numbers, labels)
  return numbers[labels]

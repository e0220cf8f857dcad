"""Pretrained sources of the models of a study, as --pretrained names them.

MODEL=WEIGHTS, or MODEL=NAME:WEIGHTS; a model may stand several times. Without
a name, the last part of the path is one: `RadImageNet` for RadImageNet.h5.
"""

from collections.abc import Collection, Iterable, Mapping
import os
import re

from transfusion_tf import errors
from transfusion_tf import storage
from transfusion_tf.init import weights
from transfusion_tf.init.sources import files
from transfusion_tf.init.sources import foreign_files
from transfusion_tf.init.sources import run_weights
from transfusion_tf.models import custom

# Model -> name of a source -> its weights.
Sources = Mapping[str, Mapping[str, str]]
_NAME = re.compile(r'([A-Za-z][\w.-]*):(?!//)(.+)')


def parse(texts: Iterable[str], models: Collection[str]) -> Sources:
  """Return the sources of a list of MODEL=WEIGHTS.

  Raises:
    InputError: Not of that form, another model, or two of one name.
  """
  sources: dict[str, dict[str, str]] = {}
  for text in texts:
    model, equals, weights_of_it = text.partition('=')
    if not equals or not weights_of_it:
      raise errors.InputError(
        f'--pretrained={text}: write it MODEL=WEIGHTS, or MODEL=NAME:WEIGHTS'
      )
    if model not in models:
      raise errors.unknown('model in --pretrained', model, models)
    name, path = _named(weights_of_it)
    known = sources.setdefault(model, {})
    if name in known:
      raise errors.InputError(
        f'--pretrained={text}: {model} has weights called {name} already; '
        f'give these another name: {model}=NAME:{path}'
      )
    known[name] = path
  return sources


def parse_inputs(texts: Iterable[str], sources: Sources) -> dict[str, str]:
  """Return `MODEL` or `MODEL:NAME` -> KIND, of a list of such with `=KIND`.

  Raises:
    InputError: Not of that form, or there are no such weights.
  """
  inputs = {}
  known = [
    *sources,
    *(f'{model}:{name}' for model, names in sources.items() for name in names),
  ]
  for text in texts:
    target, _, kind = text.partition('=')
    if not kind:
      raise errors.InputError(
        f'--pretrained_input={text}: write it MODEL=KIND, or MODEL:NAME=KIND'
      )
    if target not in known:
      raise errors.unknown('weights in --pretrained_input', target, known)
    inputs[target] = kind
  return inputs


def check_exists(source: str) -> None:
  """Raise an InputError if weights are neither a file, a run nor a function."""
  if custom.is_custom(source):
    custom.function(source)
  elif source != weights.IMAGENET and not run_weights.is_run(source):
    reads = files.reader(source)
    if not reads or not any(map(storage.exists, (source, f'{source}.index'))):
      raise foreign_files.refuse(source, f'({", ".join(files.SUFFIXES)})')


def _named(text):
  """Return the name of weights and where they are.

  `rad:FILE` has a name, `package.module:function` is a function.
  """
  match = _NAME.fullmatch(text)
  if match and _is_place(match[2], text):
    return match[1], match[2]
  name = os.path.basename(os.path.normpath(text))
  for suffix in files.SUFFIXES:
    name = name.removesuffix(suffix)
  return re.sub(r'[^\w.]+', '-', name), text


def _is_place(text, whole):
  """Return whether `text`, which follows a name, says where weights are."""
  return (
    text == weights.IMAGENET
    or not custom.is_custom(whole)
    or storage.exists(text)
  )

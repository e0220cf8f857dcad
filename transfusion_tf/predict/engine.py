"""Pictures through a network to a table."""

import collections
from collections.abc import Callable, Iterable, Iterator, Sequence
import dataclasses
import hashlib
import json
import sys
from typing import Any

import tqdm

from transfusion_tf.image_ops import validate
from transfusion_tf.predict import answers as answers_lib
from transfusion_tf.predict import networks
from transfusion_tf.predict import parts as parts_lib
from transfusion_tf.predict import pictures as pictures_lib

# A part is written when it is complete: a kill loses less than one.
_PART = 512


# Prepares pictures, in their order, in as many processes as it likes.
Prepare = Callable[
  [Sequence[pictures_lib.Picture]], Iterable[pictures_lib.Prepared]
]


@dataclasses.dataclass(frozen=True)
class Outcome:
  """What became of the pictures.

  Attributes:
    statuses: Status -> number of pictures.
    was_complete: Whether the table was there already.
  """

  statuses: dict[str, int]
  was_complete: bool


def predict(
  classifier: networks.Classifier,
  pictures: pictures_lib.Pictures,
  prepare: Prepare,
  output: str,
  made_by: dict[str, Any],
  overwrite: bool = False,
) -> Outcome:
  """Write the table of the answers to all pictures, or continue it.

  Args:
    classifier: The network.
    pictures: The pictures.
    prepare: Prepares them.
    output: Path of the table, CSV or Parquet.
    made_by: What else its JSON says.
    overwrite: Whether another table is replaced.

  Raises:
    InputError: Another table is there, or it cannot be written.
  """
  table = parts_lib.Table(output)
  batch_size = classifier.batch_size
  size = max(_PART // batch_size, 1) * batch_size
  description = classifier.description
  identity = {
    'pictures': pictures.digest,
    'count': len(pictures),
    'network': classifier.fingerprint,
    'decisions': _digest(description.to_json()['decisions']),
    'part': size,
  }
  count = -(-len(pictures) // size)
  with table.begun(identity, overwrite) as is_open:
    if not is_open:
      return Outcome(table.statuses(), True)
    _make(classifier, pictures, prepare, table, table.lacking(count), size)
    statuses = collections.Counter[str]()
    for number in range(count):
      statuses.update(table.read(number))
    found = dict(sorted(statuses.items()))
    facts = {**made_by, **description.to_json(), 'statuses': found}
    table.finish(count, identity, facts)
  return Outcome(found, False)


def _digest(value):
  return hashlib.sha256(json.dumps(value).encode()).hexdigest()


class _Rows(Sequence[pictures_lib.Picture]):
  """The pictures of some parts."""

  def __init__(self, pictures, numbers, size):
    self._pictures = pictures
    self._spans = [
      (n * size, min((n + 1) * size, len(pictures))) for n in numbers
    ]
    self._size = size

  def __len__(self):
    return sum(stop - start for start, stop in self._spans)

  def __getitem__(self, place):
    if not isinstance(place, slice):
      return self[place : place + 1][0]
    found: list[pictures_lib.Picture] = []
    start, stop, _ = place.indices(len(self))
    while start < stop:
      # All parts but the last of a table are of one size.
      number, within = divmod(start, self._size)
      first, end = self._spans[number]
      more = self._pictures[
        first + within : min(end, first + within + stop - start)
      ]
      found += more
      start += len(more)
    return found


def _make(classifier, pictures, prepare, table, lacking, size):
  """Make the parts that are lacking."""
  rows = _Rows(pictures, lacking, size)
  bar = tqdm.tqdm(
    desc='predicting',
    initial=len(pictures) - len(rows),
    total=len(pictures),
    unit='image',
    smoothing=0.05,
    disable=not lacking,
    file=sys.stderr,
  )
  given = zip(rows_of(rows), prepare(rows), strict=True)
  with bar:
    for number in lacking:
      count = min(size, len(pictures) - number * size)
      made = list(_answered(classifier, given, count, bar))
      description = classifier.description
      table.write(
        number,
        answers_lib.table(description.task, description.decisions, made),
      )


def rows_of(pictures: Sequence) -> Iterator[pictures_lib.Picture]:
  """Yield the pictures, some at a time."""
  step = 1024
  for start in range(0, len(pictures), step):
    yield from pictures[start : start + step]


def _answered(classifier, given, count, bar):
  """Return the answers to the next `count` pictures, in order."""
  answered: list[answers_lib.Answer] = []
  waiting: list[tuple[int, str, pictures_lib.Prepared]] = []
  for _ in range(count):
    picture, prepared = next(given)
    if prepared.encoded:
      waiting.append((len(answered), picture.id, prepared))
    answered.append(
      answers_lib.Answer(picture.id, prepared.status, prepared.reason)
    )
    if len(waiting) == classifier.batch_size:
      _classify(classifier, waiting, answered)
    bar.update()
  _classify(classifier, waiting, answered)
  return answered


def _classify(classifier, waiting, answered):
  """Answer those that wait, and empty their list."""
  if not waiting:
    return
  probabilities, statuses = classifier.probabilities(
    [prepared.encoded for _, _, prepared in waiting]
  )
  for (place, name, prepared), values, status in zip(
    waiting, probabilities, statuses, strict=True
  ):
    bad = status != validate.OK
    answered[place] = answers_lib.of_network(
      name,
      prepared.reason,
      values,
      'not an image' if bad else pictures_lib.OK,
      validate.STATUSES[status] if bad else '',
    )
  waiting.clear()

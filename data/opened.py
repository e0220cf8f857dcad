"""Records with their pictures, which are read once, in order.

A picture that is a file, or is packed in a zip archive, is read by the process
that decodes it. A row of a file may need those around it, as in Parquet: rows
are read here, from the first to the last, and sent.
"""

from collections.abc import Iterable, Iterator
import itertools
from typing import NamedTuple

from data import images
from data import places
from data import raw_dataset


class Opened(NamedTuple):
  """A record, and its picture if that has been read.

  Attributes:
    record: The record.
    raw: The picture, or why there is none; None if nobody has read it.
  """

  record: raw_dataset.Record
  raw: places.Raw | raw_dataset.InvalidRecordError | None = None

  def picture(self) -> places.Raw:
    """Return the picture.

    Raises:
      InvalidRecordError: There is none.
    """
    if self.raw is None:
      return images.read(self.record.path)
    if isinstance(self.raw, raw_dataset.InvalidRecordError):
      raise self.raw
    return self.raw


def opened(records: Iterable[raw_dataset.Record]) -> Iterator[Opened]:
  """Yield records with those pictures that are rows of files."""
  for are_rows, group in itertools.groupby(records, _is_row):
    yield from (_rows if are_rows else _others)(group)


def _rows(records):
  records, same = itertools.tee(records)
  return map(Opened, records, images.stream(record.path for record in same))


def _others(records):
  return map(Opened, records)


def _is_row(record):
  return places.is_row(record.path)

"""The records of a raw data set, one an image, and its problems."""

from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
from typing import Any

from transfusion_tf import shown_text

# Kinds of problems. A bad image is left out, and a build refuses to start
# unless it is told to skip; a note is informational.
BAD = (
  'no such image',
  'unreadable image',  # Without permission, or not to be unpacked.
  'outside the image root',
  'not an image',
  'truncated image',
  'image too large',
  'impossible label',
  'impossible name',
  'contradictory labels',
  'patient in two splits',
  'image in two splits',
  'not in the split file',
)
NOTES = (
  'not gradable',
  'repeated row',
  'same image twice',
  'image without label',
  'no fundus disc',
  'two eyes in a photograph',
  'metadata dropped',
  'link to another folder',
  'folder without images',
  'left out, of a system',
  'color of more than 8 bits',
  'not the published number',
  'empty split',
  'split drawn',
  'split without labels',
  'class without example',
  'nothing to learn',
  'patient in two spellings',
  'patients may be known',
  'classes that look alike',
  'classes without names',
  'class that may be none',
  'several labels in a cell',
  'readers disagree',
  'images are enlarged',
  'images are squeezed',
  'near-duplicates in two splits',
  'near-duplicates in a split',
  'near-duplicates in a crowd',
  'blank image',
  'dark image',
  'bright image',
  'blurred image',
  'image of another shape',
  'image of far fewer pixels',
)


# Of an image that is in no group: one object, of however many images.
NO_GROUPS: Mapping[str, str] = {}


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
  """One image of a raw data set and what the tables say about it."""

  image_id: str  # Unique in the data set, and the same on every machine.
  patient_id: str
  path: str  # For `images.read`.
  split: str  # `train`, `test`, ...; empty where the source has no say.
  labels: Mapping[str, Any]  # The features other than image and ids.
  sha256: str = ''  # Of the file, once it has been read.
  size: tuple[int, int] = (0, 0)  # (width, height), once it has been read.
  file_kind: str = ''  # Pillow's name of it, or DICOM, once it has been read.
  # Of `data.appearance`, once it has been read.
  appearance: Any = None
  # Column -> the group that the image belongs to, e.g. sex or a band of age.
  groups: Mapping[str, str] = dataclasses.field(
    default_factory=lambda: NO_GROUPS
  )

  def classes(self) -> list[str]:
    """Return what the image shows: its class, or its positive findings."""
    if 'findings' in self.labels:
      states = self.labels['findings']
      return [name for name, state in states.items() if state == 'positive']
    return [
      f'{key} {self.labels[key]}'
      for key in ('grade', 'label')
      if key in self.labels
    ]

  def examples(self) -> list[str]:
    """Return what the image is an example of: its class, or `+` and `-FINDING`.

    A finding that is not mentioned is trained and scored as negative; an
    uncertain one is as the reader chooses, so it is neither.
    """
    if 'findings' not in self.labels:
      return self.classes()
    signs = {'positive': '+', 'negative': '-', 'unmentioned': '-'}
    states = self.labels['findings'].items()
    return [signs[state] + name for name, state in states if state in signs]


@dataclasses.dataclass(frozen=True)
class Problem:
  """One thing that is wrong with a raw data set."""

  kind: str  # One of BAD or NOTES.
  location: str  # The file, with the row of a table.
  detail: str = ''
  other: str = ''  # The image to show beside it, if there are two.

  def __post_init__(self):
    if self.kind not in BAD + NOTES:
      raise ValueError(f'unknown kind of problem {self.kind!r}')
    for field in ('location', 'detail'):
      text = shown_text.printable(getattr(self, field))
      object.__setattr__(self, field, text)

  @property
  def bad(self) -> bool:
    return self.kind in BAD

  def __str__(self) -> str:
    detail = f' ({self.detail})' if self.detail else ''
    return f'{self.kind}: {self.location}{detail}'


class InvalidRecordError(Exception):
  """Raised for one bad row or image; `kind` says how it is bad."""

  def __init__(self, kind: str, detail: str):
    super().__init__(kind, detail)  # All, so that it can be pickled.
    self.kind = kind
    self.detail = detail

  def __str__(self) -> str:
    return self.detail


@dataclasses.dataclass
class RawDataset:
  """The records of a raw data set, short of those known to be bad."""

  records: Sequence[Record]
  problems: list[Problem] = dataclasses.field(default_factory=list)
  # Images in a split according to the set's publication, if there is one.
  published: Mapping[str, int] = dataclasses.field(default_factory=dict)
  # Classes that there should be; empty if those that occur are all.
  names: tuple[str, ...] = ()
  # Whether a draw fills splits that lack a class. Splits of the named sets are
  # compared across versions: there nobody moves.
  fills_splits: bool = False
  # Whether `test` is drawn from `train` where the source has no other.
  completes_splits: bool = False

  def add_table(
    self,
    name: str,
    rows: Iterable[tuple[int | str, Mapping[str, str]]],
    record_of: Callable[[Mapping[str, str]], Record],
  ) -> None:
    """Add a record for each row, or a problem with it.

    Args:
      name: Name of the table.
      rows: (line in the file, cells by column) each.
      record_of: Makes a record of the cells; may raise InvalidRecordError.
    """
    records = list(self.records)
    for line, row in rows:
      try:
        records.append(record_of(row))
      except InvalidRecordError as error:
        problem = Problem(error.kind, f'{name}:{line}', str(error))
        self.problems.append(problem)
    self.records = records

  def splits(self) -> dict[str, list[Record]]:
    """Return the records of each split that has any, in the usual order."""
    present = {record.split for record in self.records}
    usual = [s for s in ('train', 'validation', 'test') if s in present]
    groups: dict[str, list[Record]] = {
      split: [] for split in [*usual, *sorted(present - {*usual})]
    }
    for record in self.records:
      groups[record.split].append(record)
    return groups

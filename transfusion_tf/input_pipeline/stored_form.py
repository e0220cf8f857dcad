"""The form in which a prepared data set stores a raw picture.

Whatever is shown to a network later has to take it: what `export` does to raw
files in a graph, and `predict` with the code that prepared the data set.
"""

from collections.abc import Mapping
import dataclasses
from typing import TypedDict

from transfusion_tf.image_ops import decode
from transfusion_tf.input_pipeline import tfds_folder

# Kinds: what a square is made by (see `datasets.NamedDataset.square`); scaled
# to a shorter side, the aspect being kept; encoded anew at its own size; left
# as the file is.
FUNDUS, SQUEEZED = 'fundus', 'squeezed'
SHORTER_SIDE, OWN_SIZE, AS_IT_IS = 'shorter_side', 'own_size', 'as_it_is'
_MIN_ENLARGED = 1.25
_NUM_MEASURED = 256  # Stored images whose size is read.


class Record(TypedDict):
  """A form as JSON files have it."""

  kind: str
  side: int


@dataclasses.dataclass(frozen=True)
class StoredForm:
  """What is stored of a raw picture.

  Attributes:
    kind: One of the kinds above.
    side: Side of the squares, or the shorter side; else 0.
  """

  kind: str
  side: int = 0

  def __post_init__(self):
    if self.kind not in (FUNDUS, SQUEEZED, SHORTER_SIDE, OWN_SIZE, AS_IT_IS):
      raise ValueError(f'unknown form {self.kind!r}')

  @property
  def square_side(self) -> int:
    """Side of the squares as which all pictures are stored, or 0."""
    return self.side if self.kind in (FUNDUS, SQUEEZED) else 0


def recorded(prepared: tfds_folder.PreparedDataset) -> StoredForm | None:
  """Return the form that a data set states; None if it states none."""
  if prepared.side:
    return StoredForm(prepared.square, prepared.side)
  if 'records_sha256' not in prepared.summary:
    return StoredForm(AS_IT_IS)  # Of another project, or ImageNet.
  side = prepared.summary.get(SHORTER_SIDE)
  if side is None:
    return None
  return StoredForm(SHORTER_SIDE, int(side)) if side else StoredForm(OWN_SIZE)


def from_dataset(prepared: tfds_folder.PreparedDataset) -> StoredForm:
  """Return the form of a prepared data set.

  Tables of images that an earlier version prepared do not record the shorter
  side that they were scaled to; it is the one that all stored images have in
  common.
  """
  if form := recorded(prepared):
    return form
  sides = {min(shape) for shape in _stored_shapes(prepared)}
  if len(sides) == 1:
    return StoredForm(SHORTER_SIDE, int(*sides))
  return StoredForm(OWN_SIZE)


def enlarged(prepared: tfds_folder.PreparedDataset, side: int) -> str:
  """Return a note if pictures are enlarged for a network, or ''.

  Args:
    prepared: The data set.
    side: Of the squares that the network takes.
  """
  sides = sorted(min(shape) for shape in _stored_shapes(prepared))
  if not sides or sides[len(sides) // 2] * _MIN_ENLARGED >= side:
    return ''
  typical = sides[len(sides) // 2]
  return (
    f'pictures of {prepared.name} have a shorter side of {typical} pixels, '
    f'typically, --image_size={side}: {(side / typical) ** 2:.0f} times the '
    'work for no more detail'
  )


def from_json(record: Mapping) -> StoredForm:
  """Return the form that `dataclasses.asdict` made a record of.

  Raises:
    ValueError: It describes none.
  """
  return StoredForm(record['kind'], record['side'])


def _stored_shapes(prepared):
  """Return the heights and widths that some stored images have."""
  first, *_ = prepared.splits
  records = prepared.records(first).take(_NUM_MEASURED)
  encoded = records.map(lambda record: prepared.parse(record)['image'])
  return {tuple(decode.shape(e).numpy()) for e in encoded}

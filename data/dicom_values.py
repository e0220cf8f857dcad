"""From the stored values of a DICOM file to gray: PS3.3, C.11.1 and C.11.2.

pydicom's own functions ignore functional groups, fail on empty elements and
take some tables of 8 bits for shorter ones than they are.
"""

from collections.abc import Callable, Iterator
import dataclasses
from typing import Any

import numpy as np
from PIL import Image

from data import pixels
from data import raw_dataset

# Functional groups that change values: PS3.3, C.7.6.16.2.9 and .10.
_GROUPS = ('PixelValueTransformationSequence', 'FrameVOILUTSequence')


@dataclasses.dataclass(frozen=True)
class Window:
  """A window of values that is shown from black to white.

  Attributes:
    center: Its center, of values after the modality transform.
    width: Its width.
    function: LINEAR, LINEAR_EXACT or SIGMOID.
  """

  center: float
  width: float
  function: str = 'LINEAR'

  def __call__(self, values: np.ndarray) -> np.ndarray:
    """Return values as 0..255 by the equations of PS3.3, C.11.2.1.2 and .3."""
    center, width = self.center, self.width
    if self.function == 'SIGMOID':
      with np.errstate(over='ignore'):
        return 255 / (1 + np.exp(-4 * (values - center) / width))
    if self.function == 'LINEAR':
      if width == 1:  # A threshold; the equation would divide by 0.
        return np.where(values > center - 0.5, 255.0, 0.0)
      center, width = center - 0.5, width - 1
    return (((values - center) / width + 0.5) * 255).clip(0, 255)


@dataclasses.dataclass(frozen=True)
class Table:
  """A lookup table; values outside become its first or last entry."""

  entries: np.ndarray
  first: int  # The value that becomes the first entry.

  def __call__(self, values: np.ndarray) -> np.ndarray:
    places = np.rint(values).astype(np.int64) - self.first
    return self.entries[places.clip(0, len(self.entries) - 1)]


def picture(file: Any, values: np.ndarray) -> Image.Image:
  """Return stored gray values as the header says that they are shown.

  Args:
    file: A pydicom data set of one frame.
    values: [H, W].
  """
  elements = _elements(file)
  negative = file.PhotometricInterpretation == 'MONOCHROME1'
  slope, modality = _modality(file, elements)
  show = _shown(file, elements)
  ignored = _padding(file, values)
  if show:
    return pixels.window(
      values, lambda rows: show(modality(rows)), ignored, negative
    )
  if slope is None:  # Only a table can change the order of values.
    values = modality(values)
  elif slope < 0:
    negative = not negative
  return pixels.stretch(values, ignored, negative)


def _elements(file) -> dict[str, Any]:
  """Return the elements that are not empty; a frame's own come before all."""
  found: dict[str, Any] = {}
  for place in _places(file):
    for element in place:
      if not element.is_empty:
        found[element.keyword] = element.value
  return found


def _places(file) -> Iterator[Any]:
  yield file.group_dataset(0x0028)
  for key in (
    'SharedFunctionalGroupsSequence',
    'PerFrameFunctionalGroupsSequence',
  ):
    for groups in (file.get(key) or [])[:1]:
      for name in _GROUPS:
        yield from (groups.get(name) or [])[:1]


def _modality(file, elements):
  """Return the slope, None of a table, and the function of stored values."""
  if 'ModalityLUTSequence' in elements:
    return None, _table(file, elements['ModalityLUTSequence'][0])[0]
  slope = _number(elements, 'RescaleSlope', 1)
  intercept = _number(elements, 'RescaleIntercept', 0)
  return slope, lambda values: values.astype(np.float64) * slope + intercept


def _shown(file, elements) -> Callable[[np.ndarray], np.ndarray] | None:
  if 'VOILUTSequence' in elements:
    table, bits = _table(file, elements['VOILUTSequence'][0])
    return lambda values: table(values) * (255 / (2**bits - 1))
  if 'WindowCenter' not in elements or 'WindowWidth' not in elements:
    return None
  function = elements.get('VOILUTFunction', 'LINEAR')
  if function not in ('LINEAR', 'LINEAR_EXACT', 'SIGMOID'):
    raise _refusal('an unknown VOI LUT function')
  width = _number(elements, 'WindowWidth')
  if width < 1 if function == 'LINEAR' else width <= 0:
    raise _refusal(f'a window of width {width:g}')
  return Window(_number(elements, 'WindowCenter'), width, function)


def _number(elements, keyword, default=None):
  """Return the first value of an element."""
  value = elements.get(keyword, default)
  if not isinstance(value, int | float | str):
    value = value[0]  # One of several, or a number of pydicom's.
  value = float(value)
  if not np.isfinite(value):
    raise _refusal(f'{keyword} is no number')
  return value


def _table(file, item) -> tuple[Table, int]:
  """Return a lookup table and the bits of its entries."""
  length, first, bits = (int(x) for x in item.LUTDescriptor)
  entries = item.LUTData
  if isinstance(entries, bytes):
    entries = words(file, entries, length or 2**16)
  return Table(np.atleast_1d(np.asarray(entries)), first), bits


def words(file: Any, data: bytes, length: int) -> np.ndarray:
  """Return the entries of a table, of one or two bytes."""
  if len(data) < 2 * length:
    return np.frombuffer(data, np.uint8)[:length]
  order = '<' if file.original_encoding[1] else '>'
  return np.frombuffer(data[: 2 * length], f'{order}u2')


def _padding(file, values):
  """Return which pixels are no part of the picture: PS3.3, C.7.5.1.1.2."""
  limits = [
    file.get(keyword)
    for keyword in ('PixelPaddingValue', 'PixelPaddingRangeLimit')
  ]
  limits = [int(limit) for limit in limits if limit is not None]
  if not limits:
    return None
  if file.PixelRepresentation:  # The type of the element can be a wrong one.
    limits = [x - 2**16 if x >= 2**15 else x for x in limits]
  return (values >= min(limits)) & (values <= max(limits))


def _refusal(detail):
  return raw_dataset.InvalidRecordError('not an image', f'DICOM: {detail}')

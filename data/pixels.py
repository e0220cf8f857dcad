"""Values of any range and arrangement as 8-bit pictures.

A picture may have 200 million pixels: what takes several times its memory is
done for some rows after the other.
"""

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from transfusion_tf.image_ops import rules

# Orientation of Exif -> how to turn the picture.
_TURNS = {
  2: Image.Transpose.FLIP_LEFT_RIGHT,
  3: Image.Transpose.ROTATE_180,
  4: Image.Transpose.FLIP_TOP_BOTTOM,
  5: Image.Transpose.TRANSPOSE,
  6: Image.Transpose.ROTATE_270,
  7: Image.Transpose.TRANSVERSE,
  8: Image.Transpose.ROTATE_90,
}


def stretch(
  values: np.ndarray, ignored: np.ndarray | None = None, negative: bool = False
) -> Image.Image:
  """Return gray values of any range as an 8-bit picture.

  The darkest becomes 0, the brightest 255. What is no number becomes 0, as
  does minus infinity; infinity becomes 255.

  Args:
    values: [H, W].
    ignored: If given, bool [H, W]: pixels that are no part of the picture, and
      become 0.
    negative: If true, high is dark.
  """
  # Two bytes fit single precision, in which an exported graph computes.
  small = values.dtype.kind in 'iub' and values.dtype.itemsize <= 2
  number = np.float32 if small else np.float64
  low, high = _range(values, ignored)
  low, high = (-high, -low) if negative else (low, high)
  low, high = number(low), number(high)
  scale = number(255) / max(high - low, number(rules.MIN_RANGE))

  def scaled(rows):
    block = values[rows].astype(number)
    block = ((-block if negative else block) - low) * scale
    if not small:
      block = np.nan_to_num(block, nan=0, posinf=255, neginf=0).clip(0, 255)
    return _without(block.round(), ignored, rows)

  return map_rows(scaled, values.shape)


def window(
  values: np.ndarray,
  apply: Callable[[np.ndarray], np.ndarray],
  ignored: np.ndarray | None = None,
  negative: bool = False,
) -> Image.Image:
  """Return gray values as `apply` maps some rows of them to 0..255."""

  def mapped(rows):
    block = np.rint(apply(values[rows])).clip(0, 255)
    return _without(255 - block if negative else block, ignored, rows)

  return map_rows(mapped, values.shape)


def map_rows(
  function: Callable[[slice], np.ndarray],
  shape: tuple[int, ...],
  num_bytes: int = 8,
) -> Image.Image:
  """Return the picture that is made of `function(rows)`, some at a time.

  Args:
    function: Rows -> their pixels, of 0..255.
    shape: Of the picture.
    num_bytes: Memory of a value in the making.
  """
  # Pasted as they come: a picture of numbers beside it would be another copy.
  result = Image.new('RGB' if len(shape) == 3 else 'L', (shape[1], shape[0]))
  for rows in blocks(shape[0], num_bytes * int(np.prod(shape[1:]))):
    block = np.asarray(function(rows)).astype(np.uint8)
    result.paste(Image.fromarray(block), (0, rows.start))
  return result


def blocks(height: int, row_bytes: int) -> Iterator[slice]:
  """Yield slices of rows that together are `height` rows."""
  step = max(rules.BLOCK // max(row_bytes, 1), 1)
  for start in range(0, height, step):
    yield slice(start, min(start + step, height))


def from_cmyk(image: Image.Image) -> Image.Image:
  """Return ink on white as light, rounded as an exported graph does."""

  def light(rows):
    paper = 255 - _rows(image, rows).astype(np.uint16)
    return paper[..., :3] * paper[..., 3:] // 255

  return map_rows(light, (image.height, image.width, 3))


def values(image: Image.Image) -> np.ndarray:
  """Return the values of a picture; `np.asarray` makes two more copies."""
  first = _rows(image, slice(0, 1))
  result = np.empty((image.height, *first.shape[1:]), first.dtype)
  for rows in blocks(image.height, first.nbytes):
    result[rows] = _rows(image, rows)
  return result


def _rows(image, rows):
  return np.asarray(image.crop((0, rows.start, image.width, rows.stop)))


def upright(image: Image.Image, orientation: int) -> Image.Image:
  """Turn and mirror a picture of an `orientation`, 1 to 8."""
  if orientation not in _TURNS:
    return image
  return image.transpose(_TURNS[orientation])


def _range(values, ignored):
  """Return the least and greatest finite value, 0 and 0 without any."""
  lows, highs = [], []
  for rows in blocks(len(values), 8 * values.shape[1]):
    block = values[rows]
    usable = np.isfinite(block)
    if ignored is not None:
      usable &= ~ignored[rows]
    if usable.any():
      block = block[usable]
      lows.append(block.min())
      highs.append(block.max())
  return (float(min(lows)), float(max(highs))) if lows else (0.0, 0.0)


def _without(block, ignored, rows):
  return block if ignored is None else np.where(ignored[rows], 0, block)

"""The images of a split, decoded once and kept in memory.

Decoding takes half of the time of input, at every epoch anew. A split that fits
into a share of the free memory is decoded before the first. Order, windows and
augmentation are those of a split that is read from its files, to the bit.
"""

from collections.abc import Callable
import dataclasses
import weakref

import numpy as np
import tensorflow as tf

from transfusion_tf import cores
from transfusion_tf import memory
from transfusion_tf.input_pipeline import image_reader
from transfusion_tf.input_pipeline import tfds_folder

# What TensorFlow takes over without a copy begins at a multiple of it.
_ALIGNMENT = 64
# Markers of a JPEG that begin a frame, and tell how colors are sampled.
_FRAMES = {0xC0, 0xC1, 0xC2}
_SCAN = 0xDA


@dataclasses.dataclass(frozen=True, eq=False)
class Images:
  """The N decoded images of a split, in stored order.

  Attributes:
    pixels: uint8, one image after another.
    starts: int64 [N], of each image in `pixels`.
    shapes: int32 [N, 2], height and width.
    index: Their ids and labels.
  """

  pixels: 'tf.Tensor'
  starts: np.ndarray
  shapes: np.ndarray
  index: tfds_folder.Index

  def example(self, row: 'tf.Tensor') -> dict:
    """Return the features of a row, with the row as image."""
    features = {'image_id': self.index.image_ids, **self.index.labels}
    return {'image': row} | tf.nest.map_structure(
      lambda column: tf.gather(column, row), features
    )

  def cut(
    self, row: 'tf.Tensor', window: Callable[['tf.Tensor'], 'tf.Tensor']
  ) -> 'tf.Tensor':
    """Return a window of a row, as `image_reader.decode` does of a file."""
    shape = tf.gather(self.shapes, row)
    width = shape[1]
    top, left, rows, columns = tf.unstack(window(shape))
    start = tf.gather(self.starts, row) + _size(top, width)
    lines = tf.slice(self.pixels, [start], [_size(rows, width)])
    lines = tf.reshape(lines, tf.stack([rows, width, 3]))
    return lines[:, left : left + columns]


def _size(rows, width):
  return 3 * tf.cast(rows, tf.int64) * tf.cast(width, tf.int64)


# A data set's splits go with it.
_HELD: weakref.WeakKeyDictionary[
  tfds_folder.PreparedDataset, dict[str, Images | None]
] = weakref.WeakKeyDictionary()


def images(
  prepared: tfds_folder.PreparedDataset, split: str, share: float
) -> Images | None:
  """Return the images of a split, or None if they do not fit.

  Nor are images held whose colors are stored at a lower resolution: at the edge
  of a window, they depend on whether the rest was decoded.

  Args:
    prepared: The data set. A split is decoded once for all of its runs.
    split: Name of the split.
    share: Of the memory that is free, what the images may take; 0 is nothing.
  """
  if not share:
    return None
  held = _HELD.setdefault(prepared, {})
  if split not in held:
    try:
      held[split] = _load(prepared, split, int(share * memory.available()))
    except tf.errors.OpError:  # Whoever reads the files tells which and why.
      return None
  return held[split]


@tf.autograph.experimental.do_not_convert
def _load(prepared, split, most):
  if 2 * most < prepared.num_stored_bytes(split):
    return None  # Without a look at it: no file is twice what it holds.
  found = _decoded(prepared, split, most)
  if found is None:
    return None
  shapes = np.array([image.shape[:2] for image in found], np.int32)
  ends = np.cumsum([image.size for image in found], dtype=np.int64)
  pixels = _empty(ends[-1] if found else 0)
  end = len(pixels)
  while found:  # Each gives its memory back before the next is copied.
    image = found.pop()
    pixels[end - image.size : end] = image.ravel()
    end -= image.size
  starts = np.concatenate([[0], ends])[:-1].astype(np.int64)
  index = prepared.index(split)
  return Images(tf.convert_to_tensor(pixels), starts, shapes, index)


def _decoded(prepared, split, most):
  """Return the images of a split, None if they are not to be held."""

  def read(record):
    encoded = prepared.parse(record)['image']
    return encoded, image_reader.decode(encoded, _whole)

  images = prepared.records(split).map(
    read, num_parallel_calls=cores.available()
  )
  found, total = [], 0
  for content, image in images.as_numpy_iterator():
    found.append(image)
    total += image.size
    # The first one tells about all, where they are by far too many.
    by_far = image.size * prepared.num_examples(split) > 4 * most
    if total > most or by_far or _has_coarse_color(content):
      return None
  return found


def _whole(shape):
  return tf.concat([[0, 0], shape[:2]], axis=0)


def _has_coarse_color(content):
  """Return whether a JPEG's channels are of several resolutions."""
  if not content.startswith(b'\xff\xd8'):
    return False
  place = 2
  while place + 4 <= len(content) and content[place + 1] != _SCAN:
    length = int.from_bytes(content[place + 2 : place + 4])
    if content[place + 1] in _FRAMES:
      return len(set(content[place + 11 : place + 2 + length : 3])) > 1
    place += 2 + length
  return True  # It cannot be told.


def _empty(size):
  """Return uint8 [size] that TensorFlow can take over."""
  whole = np.empty(size + _ALIGNMENT, np.uint8)
  start = -whole.ctypes.data % _ALIGNMENT
  return whole[start : start + size]

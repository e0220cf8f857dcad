"""What the images of a prepared data set went through before they were stored.

`bin/prepare_data.py` cuts, scales and stores a photograph as a JPEG, which
runs then read. `Preparation` does the same to a raw file, in a graph.
"""

from collections.abc import Callable
import dataclasses
import re

import tensorflow as tf

from transfusion_tf.image_ops import decode
from transfusion_tf.image_ops import fundus
from transfusion_tf.image_ops import resize
from transfusion_tf.input_pipeline import augment
from transfusion_tf.input_pipeline import tfds_folder

_LOOKED_AT = 256  # Stored images whose size is looked at.


@dataclasses.dataclass(frozen=True)
class Preparation:
  """From a raw file to what a run decodes.

  Attributes:
    text: What it does, in words.
    at_least: JPEGs may be decoded smaller, but no smaller than this.
    size: Height and width of a raw picture -> of the stored one.
    picture: uint8 [H, W, 3] -> uint8 of that size.
    encodes: Whether the picture became a JPEG of its own.
  """

  text: str
  at_least: int
  size: Callable[['tf.Tensor'], 'tf.Tensor']
  picture: Callable[['tf.Tensor'], 'tf.Tensor']
  encodes: bool = True

  def load(self, encoded: 'tf.Tensor', image_size: int) -> 'tf.Tensor':
    """A raw or a stored file as the run reads it: uint8 [S, S, 3].

    A file of the size and the quality in which images are stored is taken for
    a stored one: it is only decoded.

    Args:
      encoded: A JPEG or PNG.
      image_size: S.
    """
    as_stored = decode.is_plain(encoded)
    if self.encodes:
      as_stored &= self._is_stored_size(decode.shape(encoded))
      as_stored &= decode.has_stored_quality(encoded)
    return tf.cond(
      as_stored,
      lambda: augment.decode(encoded, image_size),
      lambda: self._prepared(decode.decode(encoded, self.at_least), image_size),
    )

  def load_picture(self, image: 'tf.Tensor', image_size: int) -> 'tf.Tensor':
    """Like `load`, of a decoded picture: uint8 [H, W, 3].

    One of the size in which images are stored is taken for a stored one.
    """
    return tf.cond(
      self._is_stored_size(tf.shape(image)[:2]),
      lambda: augment.decode(_without_loss(image), image_size),
      lambda: self._prepared(image, image_size),
    )

  def _is_stored_size(self, shape):
    return tf.reduce_all(shape == self.size(shape))

  def _prepared(self, image, image_size):
    encode = decode.encode if self.encodes else _without_loss
    return augment.decode(encode(self.picture(image)), image_size)


def of(prepared: tfds_folder.PreparedDataset) -> Preparation:
  """The preparation of a prepared data set.

  prepare_data.py cuts some sets into squares, and names them after their side.
  Of a table of images it does not say to which shorter side they were scaled:
  that all stored ones have the same does.
  """
  side = re.fullmatch(r'\w+_(\d+)', prepared.config)
  if side and prepared.name in _SQUARES:
    text, picture = _SQUARES[prepared.name]
    return _square(int(side[1]), text, picture)
  if 'records_sha256' not in prepared.summary:
    return AS_IT_IS
  sides = {min(shape) for shape in _stored_shapes(prepared)}
  return _scaled(*sides) if len(sides) == 1 else ENCODED


def _square(side, text, picture):
  return Preparation(
    text=text.format(side=side),
    at_least=2 * side,
    size=lambda shape: tf.constant([side, side]),
    picture=lambda image: picture(image, side),
  )


def _scaled(side):
  def size(shape):
    factor = side / tf.reduce_min(shape)
    sides = tf.round(factor * tf.cast(shape, tf.float64))
    return tf.cast(sides, tf.int32)

  return Preparation(
    text=f'scaled to a shorter side of {side} pixels',
    at_least=2 * side,
    size=size,
    picture=lambda image: resize.lanczos(
      image, *tf.unstack(size(tf.shape(image)[:2]))
    ),
  )


# Of sets that others stored; ImageNet is stored as it comes.
AS_IT_IS = Preparation(
  text='left as it is',
  at_least=0,
  size=lambda shape: shape,
  picture=lambda image: image,
  encodes=False,
)
ENCODED = dataclasses.replace(
  AS_IT_IS, text='encoded as a JPEG of high quality', encodes=True
)
_SQUARES = {
  'retina': (
    'the disc of the fundus is found and fills a square of {side} pixels',
    fundus.crop,
  ),
  'chexpert': (
    'squeezed into a square of {side} pixels',
    lambda image, side: resize.lanczos(image, side, side),
  ),
}


def _without_loss(image):
  return tf.io.encode_png(image, compression=0)  # Nor effort.


def _stored_shapes(prepared):
  """Heights and widths of some stored images."""
  first, *_ = prepared.splits
  records = prepared.records(first).take(_LOOKED_AT)
  encoded = records.map(lambda record: prepared.parse(record)['image'])
  return {tuple(decode.shape(e).numpy()) for e in encoded}

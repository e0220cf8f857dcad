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
from transfusion_tf.image_ops import orientation
from transfusion_tf.image_ops import resize
from transfusion_tf.image_ops import rules
from transfusion_tf.input_pipeline import augment
from transfusion_tf.input_pipeline import tfds_folder

_LOOKED_AT = 256  # Stored images whose size is looked at.


@dataclasses.dataclass(frozen=True)
class Preparation:
  """From a raw file to what a run decodes.

  Attributes:
    text: What it does, in words.
    picture: uint8 [H, W, 3] -> uint8, the stored picture.
    at_least: JPEGs may be decoded smaller, but no smaller than this.
    encodes: Whether the picture became a JPEG of its own.
  """

  text: str
  picture: Callable[['tf.Tensor'], 'tf.Tensor']
  at_least: int = 0
  encodes: bool = True

  def load(self, encoded: 'tf.Tensor', image_size: int) -> 'tf.Tensor':
    """Read a raw file, JPEG or PNG, as uint8 [S, S, 3] with S `image_size`."""
    if self.encodes:
      image = decode.decode(encoded, self.at_least)
      return self.load_picture(image, image_size)
    image = augment.decode(decode.eight_bits(encoded), image_size)
    return orientation.upright(image, orientation.from_jpeg(encoded))

  def load_picture(self, image: 'tf.Tensor', image_size: int) -> 'tf.Tensor':
    """Do the same with a decoded raw picture, uint8 [H, W, 3]."""
    encode = decode.encode if self.encodes else decode.encode_lossless
    return augment.decode(encode(self.picture(image)), image_size)


def load_prepared_picture(image: 'tf.Tensor', image_size: int) -> 'tf.Tensor':
  """Read a decoded stored picture, uint8 [H, W, 3], as a run reads its file."""
  return augment.decode(decode.encode_lossless(image), image_size)


def of(prepared: tfds_folder.PreparedDataset) -> Preparation:
  """Return the preparation of a prepared data set.

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
    picture=lambda image: picture(image, side),
    at_least=rules.min_decoded_side(side),
  )


def _scaled(side):
  def picture(image):
    shape = tf.shape(image)[:2]
    factor = side / tf.reduce_min(shape)
    size = tf.cast(tf.round(factor * tf.cast(shape, tf.float64)), tf.int32)
    return resize.lanczos(image, *tf.unstack(size))

  return Preparation(
    text=f'scaled to a shorter side of {side} pixels',
    picture=picture,
    at_least=rules.min_decoded_side(side),
  )


# Of sets that others stored; ImageNet is stored as it comes.
AS_IT_IS = Preparation('left as it is', lambda image: image, encodes=False)
ENCODED = Preparation('encoded as a JPEG of high quality', lambda image: image)
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


def _stored_shapes(prepared):
  """Heights and widths of some stored images."""
  first, *_ = prepared.splits
  records = prepared.records(first).take(_LOOKED_AT)
  encoded = records.map(lambda record: prepared.parse(record)['image'])
  return {tuple(decode.shape(e).numpy()) for e in encoded}

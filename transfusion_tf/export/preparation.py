"""The steps from a raw image file to the stored one of a prepared data set.

`bin/prepare_data.py` cuts, scales and stores a photograph as a JPEG, which
runs then read. `Preparation` does the same to a raw file, in a graph.
"""

from collections.abc import Callable
import dataclasses
import functools

import tensorflow as tf

from transfusion_tf.image_ops import decode
from transfusion_tf.image_ops import fundus
from transfusion_tf.image_ops import resize
from transfusion_tf.image_ops import rules
from transfusion_tf.input_pipeline import stored_form
from transfusion_tf.input_pipeline import tfds_folder

# The bytes of a stored picture -> uint8 [C, C, 3], as a run reads it.
Read = Callable[[tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Preparation:
  """The steps from a raw file to the picture that a run decodes.

  Attributes:
    text: Description for the model card.
    picture: uint8 [H, W, 3] -> uint8, the stored picture.
    min_side: JPEGs may be decoded at a smaller size, but not below this side.
    encodes: True if the picture was stored as a new JPEG.
    stored_size: int [2], height and width of a raw picture -> float64 [2],
      those of the stored one.
  """

  text: str
  picture: Callable[[tf.Tensor], tf.Tensor]
  min_side: int = 0
  encodes: bool = True
  stored_size: Callable[[tf.Tensor], tf.Tensor] | None = None

  def load(self, encoded: tf.Tensor, read: Read) -> tf.Tensor:
    """Read a raw file, JPEG or PNG.

    Args:
      encoded: The file's bytes.
      read: Reads the stored picture, as a run does.
    """
    if self.encodes:
      return self.load_picture(decode.decode(encoded, self.min_side), read)
    return decode.upright(read(decode.plain(encoded)), encoded)

  def load_picture(self, image: tf.Tensor, read: Read) -> tf.Tensor:
    """Do the same with a decoded raw picture, uint8 [H, W, 3]."""
    encode = decode.encode if self.encodes else decode.encode_lossless
    return read(encode(self.picture(image)))


def load_prepared(encoded: tf.Tensor, read: Read) -> tf.Tensor:
  """Read a stored file, as a run does."""
  return read(encoded)


def load_prepared_picture(image: tf.Tensor, read: Read) -> tf.Tensor:
  """Read a decoded stored picture, uint8 [H, W, 3], as a run reads its file."""
  return read(decode.encode_lossless(image))


def from_dataset(prepared: tfds_folder.PreparedDataset) -> Preparation:
  """Return the preparation of a prepared data set."""
  form = stored_form.from_dataset(prepared)
  if form.square_side:
    text, square = _SQUARES[form.kind]
    return Preparation(
      text.format(side=form.side),
      functools.partial(square, side=form.side),
      rules.min_decoded_side(form.side),
    )
  if form.kind == stored_form.SHORTER_SIDE:
    return _scaled(form.side)
  return IDENTITY if form.kind == stored_form.AS_IT_IS else ENCODED


def _scaled(side):
  def stored_size(shape):
    factor = side / tf.reduce_min(shape)
    return tf.round(factor * tf.cast(shape, tf.float64))

  def picture(image):
    size = tf.cast(stored_size(tf.shape(image)[:2]), tf.int32)
    # A JPEG that is decoded at a fraction has almost the aspect of the whole.
    size = tf.minimum(size, rules.MAX_STORED_SIDE)
    return resize.lanczos(image, *tf.unstack(size))

  text = f'scaled to a shorter side of {side} pixels'
  return Preparation(
    text, picture, rules.min_decoded_side(side), stored_size=stored_size
  )


# Data sets of other projects, and ImageNet, are stored unchanged.
IDENTITY = Preparation('left as it is', lambda image: image, encodes=False)
ENCODED = Preparation(
  'encoded as a JPEG of high quality',
  lambda image: image,
  stored_size=lambda shape: tf.cast(shape, tf.float64),
)
_SQUARES = {
  stored_form.FUNDUS: (
    'the disc of the fundus is found and fills a square of {side} pixels',
    fundus.crop,
  ),
  stored_form.SQUEEZED: (
    'squeezed into a square of {side} pixels',
    lambda image, side: resize.lanczos(image, side, side),
  ),
}

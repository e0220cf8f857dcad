"""What stored images look like, in numbers, to compare two data sets."""

import dataclasses

import numpy as np
import tensorflow as tf

from transfusion_tf.image_ops import rules
from transfusion_tf.input_pipeline import tfds_folder

MOST = 500  # Images of a split that are looked at.


@dataclasses.dataclass(frozen=True, eq=False)
class Looks:
  """The looks of n images of a split, those that are stored first.

  They are stored in the order of a hash of their ids: a draw without a bias.

  Attributes:
    brightness: Mean gray levels [n].
    contrast: Standard deviations of gray levels [n].
    aspect: Widths over heights [n].
    has_color: Whether color is seen in it [n].
  """

  brightness: np.ndarray
  contrast: np.ndarray
  aspect: np.ndarray
  has_color: np.ndarray

  @property
  def is_blank(self) -> np.ndarray:
    """Whether there is nothing to be seen [n]."""
    return self.contrast < rules.MIN_SEEN


def of_split(
  prepared: tfds_folder.PreparedDataset, split: str, most: int = MOST
) -> Looks:
  """Return the looks of a split's first images.

  Args:
    prepared: The data set.
    split: Name of the split.
    most: The most images to look at.
  """
  records = prepared.records(split).take(most)
  rows = records.map(
    lambda record: _described(prepared.parse(record)['image']),
    num_parallel_calls=tf.data.AUTOTUNE,
  )
  return Looks(*np.array(list(rows.as_numpy_iterator())).T)


@tf.autograph.experimental.do_not_convert
def _described(encoded):
  image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
  shape = tf.cast(tf.shape(image), tf.float32)
  side = rules.THUMBNAIL_SIDE
  small = tf.image.resize(tf.cast(image, tf.float32), (side, side), 'area')
  gray = tf.image.rgb_to_grayscale(small)
  spread = tf.reduce_max(small, axis=-1) - tf.reduce_min(small, axis=-1)
  return tf.stack(
    [
      tf.reduce_mean(gray),
      tf.math.reduce_std(gray),
      shape[1] / shape[0],
      tf.cast(tf.reduce_mean(spread) > rules.MIN_SEEN, tf.float32),
    ]
  )

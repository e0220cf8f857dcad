"""Other inputs than the published weights were trained on.

Networks were published for images in [-1, 1], or in [0, 255] less a mean
color. This study normalizes by ImageNet's mean and standard deviation
(Section 2). The first convolution and its batch norm can take the change on
them, so that the network computes what it was published for.
"""

from collections.abc import Mapping
import dataclasses

import numpy as np

from transfusion_tf import config


@dataclasses.dataclass(frozen=True)
class Scaling:
  """RGB in [0, 1] -> scale * RGB + offset: what a network was trained on."""

  scale: float
  offset: tuple[float, float, float]


MINUS_ONE_TO_ONE = Scaling(2.0, (-1.0, -1.0, -1.0))  # Inception.
# ResNet and VGG; keras.applications has the same in the order BGR.
CAFFE_MEAN = Scaling(255.0, (-123.68, -116.779, -103.939))


def for_normalized(
  arrays: Mapping[str, np.ndarray],
  kernel: str,
  moving_mean: str,
  trained_on: Scaling,
) -> dict[str, np.ndarray]:
  """Return the same network for images normalized as ImageNet's.

  A convolution without padding, as Inception's, computes exactly the same; in
  a padded one the border stands for another color, by 0.5 of 255 steps.

  Args:
    arrays: Path -> array.
    kernel: Path of the first convolution's kernel, [h, w, 3, N].
    moving_mean: Path of the moving mean of the batch norm after it, [N].
    trained_on: The input that the weights expect.
  """
  mean = np.array(config.IMAGENET_MEAN)
  stddev = np.array(config.IMAGENET_STDDEV)
  # z = (x - mean) / stddev: scale x + offset = slope z + shift.
  slope = trained_on.scale * stddev
  shift = trained_on.scale * mean + trained_on.offset
  weights = arrays[kernel].astype(float)
  constant = np.einsum('hwcn,c->n', weights, shift)
  changed = {
    kernel: weights * slope[:, None],
    moving_mean: arrays[moving_mean] - constant,
  }
  return {**arrays, **{p: a.astype(np.float32) for p, a in changed.items()}}

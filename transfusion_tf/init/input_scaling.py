"""Published weights for images that are normalized in another way.

Networks were published for images in [-1, 1], or in [0, 255] less a mean
color. This study normalizes by ImageNet's mean and standard deviation
(Appendix A). The first convolution and its batch norm can absorb the change, so
that the network computes the same as published.
"""

from collections.abc import Mapping
import dataclasses

import numpy as np

from transfusion_tf import config


@dataclasses.dataclass(frozen=True)
class InputScaling:
  """RGB in [0, 1] -> scale * RGB + offset: the input of a published network.

  Attributes:
    kernel: Path of the first convolution's kernel, [h, w, 3, N].
    moving_mean: Path of the moving mean of the batch norm after it, [N].
    scale: Factor of all colors.
    offset: Summand of each color.
  """

  kernel: str
  moving_mean: str
  scale: float
  offset: tuple[float, float, float]


_PUBLISHED = (
  InputScaling(  # Inception, in [-1, 1].
    'Conv2d_1a_3x3/kernel',
    'Conv2d_1a_3x3.BatchNorm/moving_mean',
    2.0,
    (-1.0, -1.0, -1.0),
  ),
  InputScaling(  # ResNet, less Caffe's mean color.
    'conv1/kernel',
    'conv1.bn/moving_mean',
    255.0,
    (-123.68, -116.779, -103.939),
  ),
)


def for_normalized(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Return the same network for images normalized as ImageNet's.

  A convolution without padding, as Inception's, computes exactly the same; in
  a padded one the border stands for another color, by 0.5 of 255 steps.

  Args:
    arrays: Path -> array of our `resnet50` or `inception_v3`, as published for
      RGB images.
  """
  published = next(x for x in _PUBLISHED if x.kernel in arrays)
  mean = np.array(config.IMAGENET_MEAN)
  stddev = np.array(config.IMAGENET_STDDEV)
  # z = (x - mean) / stddev: scale x + offset = slope z + shift.
  slope = published.scale * stddev
  shift = published.scale * mean + published.offset
  weights = arrays[published.kernel].astype(float)
  constant = np.einsum('hwcn,c->n', weights, shift)
  changed = {
    published.kernel: weights * slope[:, None],
    published.moving_mean: arrays[published.moving_mean] - constant,
  }
  return {**arrays, **{p: a.astype(np.float32) for p, a in changed.items()}}

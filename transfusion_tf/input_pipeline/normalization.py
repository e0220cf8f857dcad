"""The kinds of input that networks are trained on, in one table.

A kind is named by the flags --normalization (the input of this run) and
--pretrained_input (the input of pretrained weights). With x = RGB in [0, 255]:

imagenet     (x / 255 - mean) / stddev of ImageNet (Appendix A)
inception    x / 127.5 - 1: [-1, 1], of Inception's published weights
caffe        BGR of x less Caffe's mean color, of keras.applications' ResNet
unit         x / 255: [0, 1], for networks that normalize their input
bytes        x: [0, 255], for networks that normalize their input
radimagenet  BGR of x less Caffe's mean color, / 255, of RadImageNet's weights
"""

import dataclasses

from transfusion_tf import config
from transfusion_tf import errors

_Color = tuple[float, float, float]
_CAFFE_MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)
# Steps of 1 / 255 within which two colors pass for one: ImageNet's mean and
# Caffe's differ by half a step.
_SAME_COLOR = 1 / 255


@dataclasses.dataclass(frozen=True)
class Normalization:
  """(RGB in [0, 1] - mean) / stddev, in reverse order if `bgr`.

  Attributes:
    mean: Of R, G and B; the color that zero stands for.
    stddev: Of R, G and B.
    bgr: If true, the channels are B, G, R.
  """

  mean: _Color
  stddev: _Color
  bgr: bool = False

  def has_zero_of(self, other: 'Normalization') -> bool:
    """Return whether zero is the same color, for the eye, in both kinds."""
    pairs = zip(self.mean, other.mean, strict=True)
    return all(abs(a - b) < _SAME_COLOR for a, b in pairs)


KINDS = {
  'imagenet': Normalization(config.IMAGENET_MEAN, config.IMAGENET_STDDEV),
  'inception': Normalization((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
  'caffe': Normalization(_CAFFE_MEAN, (1 / 255, 1 / 255, 1 / 255), bgr=True),
  'unit': Normalization((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
  'bytes': Normalization((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
  'radimagenet': Normalization(_CAFFE_MEAN, (1.0, 1.0, 1.0), bgr=True),
}


def kind(name: str, flag: str = 'normalization') -> Normalization:
  """Return the kind of a name.

  Raises:
    InputError: There is none; `flag` is what the message calls it.
  """
  if name not in KINDS:
    raise errors.unknown(flag, name, KINDS)
  return KINDS[name]

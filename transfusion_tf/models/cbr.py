"""The CBR family (Section 3 and Appendix A): convolution, batch norm, ReLU.

Each row of a network is a convolution with stride 1 and, but for the last row
of CBR-LargeT, a 3x3 max pool with stride 2; then a global average pool and the
classification layer. The paper leaves padding open: it is SAME here, for the
activation sizes that Appendix C quotes for ResNet-50 come from SAME padding.
"""

from __future__ import annotations

import dataclasses
import functools

from etils import epy

from transfusion_tf.models import layers
from transfusion_tf.models import registry
from transfusion_tf.models import stages as stages_lib

with epy.lazy_imports():  # Listing runs does without.
  import keras

# The paper gives no batch norm constants: those of ResNet-50 in TF-Slim.
_BATCH_NORM = layers.BatchNorm(momentum=0.997, epsilon=1e-5)
_COLORS = 3


@dataclasses.dataclass(frozen=True)
class CbrNet:
  """One network, as listed in Appendix A."""

  label: str
  kernel_size: int
  channels: tuple[int, ...]  # One convolution each.
  num_pools: int = 4

  @property
  def stages(self) -> dict[str, str]:
    """Name -> pattern; a stage ends with its pool (as in Table 5)."""
    return {
      f'conv{i}': rf'(conv|pool){i}\b' for i in range(1, len(self.channels) + 1)
    }

  @property
  def multiply_adds(self) -> int:
    """Number for one image and input pixel; each pool leaves a quarter."""
    pairs = zip((_COLORS, *self.channels), self.channels, strict=False)
    return sum(
      self.kernel_size**2 * before * after // 4 ** min(i, self.num_pools)
      for i, (before, after) in enumerate(pairs)
    )


NETS = {
  'cbr_large_t': CbrNet('CBR-LargeT', 7, (32, 64, 128, 256, 512)),
  'cbr_large_w': CbrNet('CBR-LargeW', 7, (64, 128, 256, 512)),
  'cbr_small': CbrNet('CBR-Small', 7, (32, 64, 128, 256)),
  # Appendix A gives CBR-Tiny the widths 64 to 512, but Table 1 the 1 076 480
  # parameters of these; the Appendix's net is `cbr_tiny_wide`.
  'cbr_tiny': CbrNet('CBR-Tiny', 5, (32, 64, 128, 256)),
  'cbr_tiny_wide': CbrNet('CBR-Tiny (wide)', 5, (64, 128, 256, 512)),
}


def build(
  name: str,
  num_classes: int,
  input_shape: tuple[int | None, int | None, int],
  bn_momentum: float = 0.0,
  slim_from: str = '',
) -> keras.Model:
  """Return a network of `NETS`: images [B, H, W, C] -> logits [B, num_classes].

  Args:
    name: A key of `NETS`.
    num_classes: Number of logits.
    input_shape: (H, W, C); H and W may be None.
    bn_momentum: Momentum of the moving averages; 0 is TF-Slim's.
    slim_from: First convolution at half width (Section 5); none if empty.
  """
  net = NETS[name]
  bn = _BATCH_NORM.with_momentum(bn_momentum)
  widths = stages_lib.halve_widths(tuple(net.stages), net.channels, slim_from)
  x = inputs = keras.Input(input_shape, name='image')
  for i, channels in enumerate(widths, start=1):
    x = layers.conv_bn(x, channels, net.kernel_size, bn, f'conv{i}')
    x = layers.relu(x, f'conv{i}')
    if i <= net.num_pools:
      x = keras.layers.MaxPooling2D(3, 2, padding='same', name=f'pool{i}')(x)
  return keras.Model(inputs, layers.head(x, num_classes), name=name)


for _name, _net in NETS.items():
  registry.register(
    _name,
    label=_net.label,
    stages=_net.stages,
    multiply_adds=_net.multiply_adds,
    convolutions=len(_net.channels),
  )(functools.partial(build, _name))

"""The CBR family (Section 3 and Appendix A): convolution, batch norm, ReLU.

Each row of a network is a convolution with stride 1 and, but for the last row
of CBR-LargeT, a 3x3 max pool with stride 2; then a global average pool and the
classification layer. The paper leaves padding open: it is SAME here, for the
activation sizes that Appendix C quotes for ResNet-50 come from SAME padding.
"""

import dataclasses

import keras

from transfusion_tf.models import layers
from transfusion_tf.models import stages as stages_lib

# The paper gives no batch norm constants: those of ResNet-50 in TF-Slim.
_BATCH_NORM = layers.BatchNorm(momentum=0.997, epsilon=1e-5)


@dataclasses.dataclass(frozen=True)
class Table:
  """One network, as Appendix A lists it."""

  kernel_size: int
  channels: tuple[int, ...]  # One convolution each.
  num_pools: int = 4


NETS = {
  'cbr_large_t': Table(7, (32, 64, 128, 256, 512)),
  'cbr_large_w': Table(7, (64, 128, 256, 512)),
  'cbr_small': Table(7, (32, 64, 128, 256)),
  # Appendix A gives CBR-Tiny the widths 64 to 512, but Table 1 the 1 076 480
  # parameters of these; the Appendix's net is `cbr_tiny_wide`.
  'cbr_tiny': Table(5, (32, 64, 128, 256)),
  'cbr_tiny_wide': Table(5, (64, 128, 256, 512)),
}


def build(
  name: str,
  num_classes: int,
  input_shape: tuple[int | None, int | None, int],
  bn_momentum: float = 0.0,
  slim_from: str = '',
) -> keras.Model:
  """A network of `NETS`: images [B, H, W, C] -> logits [B, num_classes].

  Args:
    name: A key of `NETS`.
    num_classes: Number of logits.
    input_shape: (H, W, C); H and W may be None.
    bn_momentum: Of the moving averages; 0 is TF-Slim's.
    slim_from: First convolution at half width (Section 5.1); none if empty.
  """
  net = NETS[name]
  bn = _BATCH_NORM.with_momentum(bn_momentum)
  widths = stages_lib.slim(_convs(net), net.channels, slim_from)
  x = inputs = keras.Input(input_shape, name='image')
  for i, channels in enumerate(widths, start=1):
    x = layers.conv_bn(x, channels, net.kernel_size, bn, f'conv{i}')
    x = layers.relu(x, f'conv{i}')
    if i <= net.num_pools:
      x = keras.layers.MaxPooling2D(3, 2, padding='same', name=f'pool{i}')(x)
  return keras.Model(inputs, layers.head(x, num_classes), name=name)


def stages_of(model: keras.Model) -> stages_lib.Stages:
  """conv1..convN, each tapped after its pool (as in Table 5), and head."""
  patterns = {
    name: rf'(conv|pool){i}\b'
    for i, name in enumerate(_convs(NETS[model.name]), start=1)
  }
  return stages_lib.Stages.of_patterns(
    patterns | {stages_lib.HEAD: rf'{stages_lib.HEAD}\b'}, model
  )


def _convs(net):
  return [f'conv{i}' for i in range(1, len(net.channels) + 1)]

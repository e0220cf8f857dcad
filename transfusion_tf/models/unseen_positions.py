"""Positions of a kernel that meet no pixel, where maps are small.

A kernel of 7 x 7 on a map of 2 x 2 reaches one pixel to each side of its
middle: all else lies in the padding. The gradients of these positions are 0;
TensorFlow 2.21 on CPUs leaves them uninitialized in bfloat16, which ends in NaN
or moves the weights anywhere.
"""

from __future__ import annotations

import math

from etils import epy

from transfusion_tf.models import graph as graph_lib

with epy.lazy_imports():  # Listing runs does without.
  import keras


def layers(model: keras.Model) -> list[str]:
  """Return the names of convolutions with such positions.

  Convolutions inside layers of a user's own are not seen.
  """
  convolutions = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
  graph = graph_lib.Graph(model)
  found = []
  for node in graph.nodes:
    conv = node.operation
    if isinstance(conv, convolutions) and conv.padding == 'same':
      (number,) = node.inputs.values()
      size = (
        model.inputs[0].shape
        if number in graph.inputs
        else graph.producer(number).shape
      )[1:3]
      if any(
        _has_unseen(*sides)
        for sides in zip(
          size, conv.kernel_size, conv.strides, conv.dilation_rate, strict=True
        )
      ):
        found.append(node.name)
  return found


def _has_unseen(size, kernel, stride, dilation):
  """Return whether a position of a kernel meets no pixel of a side.

  The padding is `same`; without padding there is none.
  """
  num_outputs = math.ceil(size / stride)
  reach = (kernel - 1) * dilation + 1
  padding = max((num_outputs - 1) * stride + reach - size, 0)
  met = {
    position
    for position in range(kernel)
    for output in range(num_outputs)
    if 0 <= output * stride + position * dilation - padding // 2 < size
  }
  return len(met) < kernel

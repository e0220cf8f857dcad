"""The size of a network, and the cost of running it."""

import dataclasses
import math
import time

import numpy as np
import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import models

_WARM_UP, _CALLS = 3, 20


@dataclasses.dataclass(frozen=True)
class Footprint:
  """A network's cost.

  Attributes:
    parameters: Trainable weights.
    flops: Operations for one image; a multiplication and the addition after
      it are two.
    milliseconds: Median time for one image on this machine's CPU.

  NaN is not known.
  """

  parameters: int
  flops: float
  milliseconds: float


def measure(experiment: config.Experiment, num_classes: int) -> Footprint:
  """Return the footprint of an experiment's network."""
  size = experiment.data.image_size
  with tf.device('CPU:0'):
    model = models.build(
      experiment.model.name,
      num_classes,
      (size, size, 3),
      stride_in=experiment.model.stride_in,
    )
    forward = tf.function(lambda x: model(x, training=False), autograph=False)
    image = tf.random.stateless_normal([1, size, size, 3], [0, 0])
    return Footprint(
      parameters=sum(int(np.prod(w.shape)) for w in model.trainable_weights),
      flops=_flops(forward.get_concrete_function(image).graph),
      milliseconds=_milliseconds(forward, image),
    )


def unmeasured(parameters: int) -> Footprint:
  """Return the footprint of a network that cannot be built any more."""
  return Footprint(parameters, math.nan, math.nan)


def _flops(graph):
  profiler = tf.compat.v1.profiler
  options = profiler.ProfileOptionBuilder(
    profiler.ProfileOptionBuilder.float_operation()
  )
  options = options.with_empty_output().build()
  return int(profiler.profile(graph, options=options).total_float_ops)


def _milliseconds(forward, image):
  for _ in range(_WARM_UP):
    forward(image)
  times = []
  for _ in range(_CALLS):
    began = time.perf_counter()
    forward(image).numpy()
    times.append(time.perf_counter() - began)
  return float(np.median(times) * 1e3)

"""One pass over the images, for all layers, groups of networks and repeats.

Each batch goes through one compiled function: forward passes, the choice of
patches and channels, and the update of means and covariances, on the device.
Activations are discarded with their batch; memory holds covariances, whatever
the number of images.
"""

from collections.abc import Iterator, Sequence
import dataclasses
import functools
from typing import Any

import numpy as np
import tensorflow as tf

from transfusion_tf import errors
from transfusion_tf.analysis import activation_source
from transfusion_tf.analysis import fourth_moments
from transfusion_tf.analysis import moments
from transfusion_tf.analysis import sampling


@dataclasses.dataclass(frozen=True)
class ChannelSamples:
  """The channels that are accumulated of one layer of a group of networks.

  The d channels of a repeat are cut out of the covariance of all c, or each
  repeat is accumulated by itself, whichever is less work.

  Attributes:
    layer: The layer, by its place in the source.
    networks: The group's networks, by theirs.
    widths: [network] all channels.
    samples: `[sample][network]` channels to accumulate together.
    repeats: [repeat] the sample that holds the repeat's channels and
      [network] their places in it.
    unbiased: Whether the sums behind unbiased CKA are accumulated, too.
  """

  layer: int
  networks: Sequence[int]
  widths: Sequence[int]
  samples: list[list[np.ndarray]]
  repeats: list[tuple[int, list[np.ndarray]]]
  unbiased: bool = False

  @classmethod
  def draw(
    cls,
    sample: sampling.Sampling,
    layer: int,
    networks: Sequence[int],
    widths: Sequence[int],
    unbiased: bool = False,
  ) -> 'ChannelSamples':
    """Draw from a layer with `widths` channels in the networks."""
    drawn = [
      [sample.channels(repeat, width) for width in widths]
      for repeat in range(sample.repeats)
    ]
    separate = sum(sum(map(len, channels)) ** 2 for channels in drawn)
    if sum(widths) ** 2 <= separate:
      everything = [np.arange(width) for width in widths]
      repeats = [(0, channels) for channels in drawn]
      return cls(layer, networks, widths, [everything], repeats, unbiased)
    places = [np.arange(len(channels)) for channels in drawn[0]]
    repeats = [(repeat, places) for repeat in range(sample.repeats)]
    return cls(layer, networks, widths, drawn, repeats, unbiased)

  @property
  def sizes(self) -> list[list[int]]:
    """`[sample][network]` channels."""
    return [list(map(len, channels)) for channels in self.samples]

  @property
  def drawn(self) -> list[int]:
    """[network] channels of a repeat: d, or all of fewer."""
    return list(map(len, self.repeats[0][1]))

  @functools.cached_property
  def layouts(self) -> list[fourth_moments.Layout | None]:
    """[sample] the groups of its repeats' channels, for unbiased CKA."""
    if not self.unbiased:
      return [None] * len(self.samples)
    return [
      fourth_moments.Layout.from_repeats(
        sizes, [places for owner, places in self.repeats if owner == sample]
      )
      for sample, sizes in enumerate(self.sizes)
    ]

  def zeros(self) -> list[moments.Statistics]:
    """Return the statistics of no rows, of each sample."""
    return list(map(moments.Statistics.zeros, self.sizes, self.layouts))

  def merge(
    self, a: Sequence[moments.Statistics], b: Sequence[moments.Statistics]
  ) -> list[moments.Statistics]:
    """Return the statistics of both sets of rows, of each sample."""
    return [x.merge(y, z) for x, y, z in zip(a, b, self.layouts, strict=True)]

  def take(
    self, statistics: Sequence[moments.Statistics], repeat: int
  ) -> moments.Statistics:
    """Return the statistics of a repeat, given those of each sample."""
    sample, places = self.repeats[repeat]
    earlier = [owner for owner, _ in self.repeats[:repeat] if owner == sample]
    return statistics[sample].take(self.sizes[sample], places, len(earlier))

  def layout(self, repeat: int) -> fourth_moments.Layout | None:
    """Return the groups of what `take` returns: one of each network."""
    if not self.unbiased:
      return None
    _, places = self.repeats[repeat]
    sizes = list(map(len, places))
    return fourth_moments.Layout.from_repeats(
      sizes, [[np.arange(size) for size in sizes]]
    )


@dataclasses.dataclass(frozen=True)
class RepeatStatistics:
  """The statistics of a repeat's channels, in numpy arrays.

  Attributes:
    whole: Those of all folds.
    left_out: Those of the fold that the repeat leaves out, if it does.
    layout: Groups of the channels.
  """

  whole: moments.Statistics
  left_out: moments.Statistics | None
  layout: fourth_moments.Layout | None

  def repeat(self) -> moments.Statistics:
    """Return those of the folds that the repeat keeps."""
    if self.left_out is None:
      return self.whole
    return self.whole.without(self.left_out, self.layout)


def accumulate(
  source: activation_source.ActivationSource,
  plan: sampling.SamplingPlan,
  columns: Sequence[ChannelSamples],
  strategy: tf.distribute.Strategy,
) -> list[list[RepeatStatistics]]:
  """Return statistics `[column][repeat]` of the plan's sample.

  Raises:
    InputError: The images end early.
  """
  total: Any = None
  left_out: dict[int, list[moments.Statistics]] = {}
  for fold, state in _folds(source, plan, columns, strategy):
    if total:
      pairs = zip(columns, total, state, strict=True)
      total = [c.merge(a, b) for c, a, b in pairs]
    else:
      total = state
    for repeat in range(plan.sampling.repeats):
      if plan.left_out(repeat) == fold:
        left_out[repeat] = _take(state, columns, repeat)
  none = [None] * len(columns)
  repeats = [
    [
      RepeatStatistics(whole, part, column.layout(repeat))
      for whole, part, column in zip(
        _take(total, columns, repeat),
        left_out.get(repeat, none),
        columns,
        strict=True,
      )
    ]
    for repeat in range(plan.sampling.repeats)
  ]
  return [list(column) for column in zip(*repeats, strict=True)]


def _folds(source, plan, columns, strategy) -> Iterator[tuple[int, Any]]:
  """Yield each fold and its statistics `[column][sample]`."""
  step = _compiled(source.forward, columns, strategy)
  zeros = [c.zeros() for c in columns]
  state = zeros
  for first, batch in _pieces(source.batches, plan):
    if not first:
      _trace(step, zeros, batch, plan, strategy)
    state = step(state, *_spread(first, batch, plan, strategy))
    if plan.ends_fold(first + activation_source.num_rows(batch)):
      yield plan.fold(first), tf.nest.map_structure(np.asarray, state)
      state = zeros


def _trace(step, state, batch, plan, strategy):
  """Trace `step` for batches of any size, which occur at a fold's end.

  Otherwise it would trace all networks again for each new size.
  """
  size = activation_source.num_rows(batch)
  longer, shorter = (
    _spread(0, activation_source.rows(batch, 0, stop), plan, strategy)
    for stop in (size, max(size - 1, 1))
  )
  specs = tf.nest.map_structure(_common_spec, longer, shorter)
  step.get_concrete_function(state, *specs)


def _common_spec(a, b):
  spec = tf.type_spec_from_value(a)
  return spec.most_specific_common_supertype([tf.type_spec_from_value(b)])


def _take(state, columns, repeat):
  """Return the statistics of a repeat, by column."""
  return [c.take(s, repeat) for c, s in zip(columns, state, strict=True)]


def _pieces(batches, plan) -> Iterator[tuple[int, Any]]:
  """Yield batches cut at the ends of folds, after their first image's index."""
  first = 0
  for batch in batches:
    start, size = 0, activation_source.num_rows(batch)
    while start < size and first < plan.num_images:
      stop = min(start + plan.room_in_fold(first), size)
      yield first, activation_source.rows(batch, start, stop)
      first += stop - start
      start = stop
    if first == plan.num_images:
      return
  raise errors.InputError(
    f'the data set ends after {first} images; the sample takes '
    f'{plan.num_images}'
  )


def _spread(first, batch, plan, strategy):
  """Return images and their patches, divided evenly among the replicas."""
  replicas = strategy.num_replicas_in_sync
  size = activation_source.num_rows(batch)
  cuts = np.linspace(0, size, replicas + 1).astype(int)

  def images(context):
    start, stop = cuts[context.replica_id_in_sync_group :][:2]
    # A replica left empty computes an image of which no patch is taken:
    # oneDNN's convolutions are unreliable on empty batches.
    start = min(start, size - 1)
    return activation_source.rows(batch, start, max(stop, start + 1))

  def patches(context):
    start, stop = cuts[context.replica_id_in_sync_group :][:2]
    return [
      tf.constant(plan.patches(layer, first + start, stop - start))
      for layer in range(len(plan.positions))
    ]

  distribute = strategy.experimental_distribute_values_from_function
  return distribute(images), distribute(patches)


def _compiled(forward, columns, strategy):
  """Return a function (state, images, patches) -> state with the batch."""

  def rows(images, patches):
    layers = [
      [_gather_rows(network, indices) for network in networks]
      for networks, indices in zip(forward(images), patches, strict=True)
    ]
    return [
      [_gather_channels(c, layers[c.layer], x) for x in c.samples]
      for c in columns
    ]

  def batch_statistics(x, sizes, layout):
    return moments.Statistics.from_batch(x, sizes, layout, strategy)

  @tf.function(reduce_retracing=True, autograph=False)
  def step(state, images, patches):
    batch = strategy.run(rows, args=(images, patches))
    return [
      c.merge(olds, list(map(batch_statistics, xs, c.sizes, c.layouts)))
      for olds, xs, c in zip(state, batch, columns, strict=True)
    ]

  return step


def _gather_rows(x, indices):
  """Return [n, C]: the chosen patches of a network's layer."""
  return tf.gather(tf.reshape(x, [-1, x.shape[-1]]), indices)


def _gather_channels(column, networks, channels):
  """Return [n, D] in float64: the chosen channels of a column's networks.

  Stored activations of two networks may be of two types.
  """
  rows = [
    tf.cast(
      x if len(chosen) == x.shape[-1] else tf.gather(x, chosen, axis=1),
      tf.float64,
    )
    for x, chosen in zip(
      [networks[place] for place in column.networks], channels, strict=True
    )
  ]
  return tf.concat(rows, axis=1)

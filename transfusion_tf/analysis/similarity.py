"""(SV)CCA of networks, layer by layer, as in the paper's Appendix C.

  result = similarity.compare(model_a, model_b, images, ['conv1', 'block4'])
  result['conv1'].mean, result['conv1'].to_json()['noise_floor']

`sampling` chooses patches and channels, `accumulate` computes their
covariances, `cca` and `alignment` the measures.
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent import futures
import itertools
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import threadpoolctl

from transfusion_tf import errors
from transfusion_tf.analysis import accumulate
from transfusion_tf.analysis import activation_source
from transfusion_tf.analysis import alignment
from transfusion_tf.analysis import cca
from transfusion_tf.analysis import endpoints
from transfusion_tf.analysis import pair_groups
from transfusion_tf.analysis import sampling as sampling_lib

Pair = pair_groups.Pair


def compare(
  model_a: keras.Model,
  model_b: keras.Model,
  dataset: Iterable[Any],
  layers: Sequence[str],
  num_patches: int = 20_000,
  num_channels: int = 64,
  repeats: int = 5,
  seed: int = 0,
  num_images: int = 0,
  **kwargs,
) -> dict[str, cca.Similarity]:
  """Compute the similarity of two models at each of `layers`.

  Args:
    model_a: Any functional or sequential model.
    model_b: Another, or the same.
    dataset: Batches [B, H, W, C] of images as the models take them, or tuples
      that begin with them, readable more than once; or one array of images.
    layers: Stages of the paper's networks, or names of Keras layers.
    num_patches: p, patches of each layer.
    num_channels: d, channels of each layer.
    repeats: Samples of channels and images.
    seed: Seed of the samples.
    num_images: n; 0 for the fewest that hold p patches.
    **kwargs: `options` and `strategy`, as in `from_source`.

  Returns:
    Layer -> `cca.Similarity`.

  Raises:
    InputError: A layer that does not exist, activations that are not finite,
      too few images, or shapes that do not fit.
  """
  sampling = sampling_lib.Sampling(
    num_patches, num_channels, repeats, num_images, seed
  )
  networks = {'model_a': model_a, 'model_b': model_b}
  (result,) = compare_all(
    networks, dataset, layers, sampling=sampling, **kwargs
  ).values()
  return result


def compare_all(
  networks: Mapping[str, keras.Model],
  dataset: Iterable[Any],
  layers: Sequence[str],
  pairs: Sequence[Pair] | None = None,
  sampling: sampling_lib.Sampling | None = None,
  **kwargs,
) -> dict[Pair, dict[str, cca.Similarity]]:
  """Compute the similarity of many models in one pass over the images.

  Args:
    networks: Name -> model.
    dataset: As in `compare`.
    layers: As in `compare`.
    pairs: Names of models to compare; all pairs if None.
    sampling: The amount of data to compare.
    **kwargs: As in `from_source`.

  Returns:
    Pair -> layer -> `cca.Similarity`. Their noise floor is that of the first
    and the last model of a group of pairs: it depends on p and d alone.
  """
  source = endpoints.make_source(
    {name: endpoints.PreparedModel(model) for name, model in networks.items()},
    endpoints.ImageBatches(dataset),
    layers,
  )
  return from_source(source, pairs, sampling, **kwargs)


def from_source(
  source: activation_source.ActivationSource,
  pairs: Sequence[Pair] | None = None,
  sampling: sampling_lib.Sampling | None = None,
  options: cca.Options | None = None,
  strategy: tf.distribute.Strategy | None = None,
) -> dict[Pair, dict[str, cca.Similarity]]:
  """Compute the similarity of the networks of a source of activations.

  Args:
    source: Networks, layers and images.
    pairs: Names of networks to compare; all pairs if None.
    sampling: The amount of data to compare.
    options: Options of the canonical correlations.
    strategy: Devices that share each batch; TensorFlow's current one if None.
  """
  sampling = sampling or sampling_lib.Sampling()
  options = options or cca.Options()
  strategy = strategy or tf.distribute.get_strategy()
  if pairs is None:
    pairs = list(itertools.combinations(source.networks, 2))
  plan = _plan(source, sampling)
  groups = pair_groups.make_groups(source.networks, pairs)
  columns = [
    _draw(source, sampling, options, layer, group)
    for layer in range(len(source.layers))
    for group in groups
  ]
  statistics = accumulate.accumulate(source, plan, columns, strategy)
  _check_finite(source, columns, statistics)
  result: dict[Pair, dict[str, cca.Similarity]] = {pair: {} for pair in pairs}
  measured = _measure_all(
    columns, groups * len(source.layers), statistics, options
  )
  for column, group, repeats in measured:
    measures, floors, wholes = zip(*repeats, strict=True)
    by_pair = (zip(*values, strict=True) for values in (measures, wholes))
    for pair, values, whole in zip(group.pairs, *by_pair, strict=True):
      result[pair][source.layers[column.layer]] = cca.Similarity(
        values,
        floors,
        plan.num_patches(column.layer),
        plan.num_images,
        whole,
        plan.folds,
      )
  return result


def _draw(source, sampling, options, layer, group):
  """Return the channels to accumulate of a layer of a group."""
  places = list(map(source.networks.index, group.networks))
  widths = [source.widths[layer][place] for place in places]
  return accumulate.ChannelSamples.draw(
    sampling, layer, places, widths, options.unbiased_cka
  )


def _measure_all(columns, groups, statistics, options):
  """Yield (column, group, [repeat] measures, floor, measures of all folds)."""
  # LAPACK runs outside Python's lock: a job for each column and repeat, on one
  # thread each; BLAS's own threads would only wait for each other.
  limit = threadpoolctl.threadpool_limits(1, user_api='blas')
  with limit, futures.ThreadPoolExecutor() as pool:
    jobs = [
      [pool.submit(_measure_repeat, x, group, column, options) for x in repeats]
      for column, group, repeats in zip(
        columns, groups, statistics, strict=True
      )
    ]
  for column, group, repeats in zip(columns, groups, jobs, strict=True):
    yield column, group, [job.result() for job in repeats]


def _plan(source, sampling):
  positions = source.positions()
  available = sampling.num_images or source.count_images(
    sampling.max_images(positions)
  )
  plan = sampling.plan(positions, available)
  for layer, widths in enumerate(source.widths):
    channels = min(sampling.num_channels, max(widths))
    if plan.num_patches(layer) <= channels:
      raise errors.InputError(
        f'{source.layers[layer]}: {plan.num_patches(layer)} patches of '
        f'{plan.num_images} images for {channels} channels; give more images '
        'or num_patches, or fewer num_channels'
      )
  return plan


def _check_finite(source, columns, statistics):
  for column, repeats in zip(columns, statistics, strict=True):
    for repeat in repeats:
      stops = np.cumsum(column.drawn)[:-1]
      means = np.split(repeat.whole.moments.mean, stops)
      for place, mean in zip(column.networks, means, strict=True):
        if not np.all(np.isfinite(mean)):
          raise errors.InputError(
            f'{source.layers[column.layer]} of {source.networks[place]} gives '
            'NaN or infinite activations; have the weights or the images any?'
          )


def _measure_repeat(repeat, group, column, options):
  """Return the measures of each pair, the floor, and those of all folds."""
  measures, floor = _measure(repeat.repeat(), group, column, options)
  if repeat.left_out is None:
    return measures, floor, measures
  whole, _ = _measure(repeat.whole, group, column, options, with_floor=False)
  return measures, floor, whole


def _measure(statistics, group, column, options, with_floor=True):
  """Return the measures of each pair, and of the permuted rows."""
  moments, _, permuted = statistics
  alignments = alignment.Alignments(statistics, column.drawn, column.widths)
  covariance = moments.scatter / (moments.num_rows - 1)
  stops = itertools.pairwise(np.cumsum([0, *alignments.sizes]))
  parts = {n: slice(*s) for n, s in zip(group.networks, stops, strict=True)}
  white = {
    network: cca.whiten(covariance[part, part], options)
    for network, part in parts.items()
  }
  place = {network: i for i, network in enumerate(group.networks)}
  measures = cca.compare(
    [white[a] for a, _ in group.pairs],
    [white[b] for _, b in group.pairs],
    [covariance[parts[a], parts[b]] for a, b in group.pairs],
    [alignments.compare(place[a], place[b]) for a, b in group.pairs],
    options,
  )
  if not with_floor:
    return measures, None
  first, last, cross = (x / permuted.freedom for x in permuted[1:4])
  (floor,) = cca.compare(
    [cca.whiten(first, options)],
    [cca.whiten(last, options)],
    [cross],
    [alignments.noise_floor()],
    options,
  )
  return measures, floor

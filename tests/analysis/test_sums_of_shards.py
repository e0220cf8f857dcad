"""Sums of activations by several workers, added up: one machine's."""

import itertools
import multiprocessing
import os

import numpy as np
import pytest
import tensorflow as tf

from transfusion_tf.analysis import activations
from transfusion_tf.analysis import cca
from transfusion_tf.analysis import manifest as manifest_lib
from transfusion_tf.analysis import moments

_SIZES = (7, 5)  # Channels of two networks.
_NUM_IMAGES, _BATCH, _LAYER = 61, 8, 'high'


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
  """Stored activations of two networks on the same images, far from zero."""
  root = tmp_path_factory.mktemp('activations')
  random = np.random.default_rng(0)
  base = random.standard_normal((_NUM_IMAGES, 3, 3, 4))
  names = []
  for size in _SIZES:
    mixed = base @ random.standard_normal((4, size))
    values = 1e3 + mixed + random.standard_normal(mixed.shape)
    file = manifest_lib.File.from_layer(_LAYER, values.shape, 'float32')
    manifest = manifest_lib.Manifest(
      model='net',
      checkpoint='run@final',
      dataset='noise',
      split='test',
      example_ids=tuple(f'image{i}' for i in range(_NUM_IMAGES)),
      layers={_LAYER: file},
    )
    names.append(str(root / f'net{size}'))
    activations.write(
      names[-1], manifest, [values.astype(np.float32)], lambda x: {_LAYER: x}
    )
  return names


def _statistics(folders, starts):
  """The statistics of the batches that begin at some images."""
  acts = [activations.load(folder, _LAYER) for folder in folders]
  total = None
  for start in starts:
    rows = np.concatenate(
      [
        each[start : start + _BATCH].reshape(-1, each.shape[-1])
        for each in acts
      ],
      axis=1,
    )
    batch = moments.Statistics.from_batch(
      tf.constant(rows, tf.float64), _SIZES, None, tf.distribute.get_strategy()
    )
    total = total.merge(batch, None) if total else batch
  return tf.nest.map_structure(np.asarray, total)


def _work(folders, starts, path):
  """A worker: writes the sums of its part."""
  flat = tf.nest.flatten(_statistics(folders, starts))
  np.savez(path, *flat)


def _read(path):
  with np.load(path) as file:
    n, mean, scatter, freedom, *rest = (file[name] for name in file.files)
  return moments.Statistics(
    moments.Moments(n, mean, scatter), (), moments.Permuted(freedom, *rest)
  )


def _correlations(statistics):
  """The canonical correlations of the two networks."""
  covariance = statistics.moments.scatter / (statistics.moments.num_rows - 1)
  first = slice(None, _SIZES[0])
  last = slice(_SIZES[0], None)
  options = cca.Options()
  roots = [
    cca.whiten(covariance[part, part], options).root for part in (first, last)
  ]
  return np.linalg.svd(roots[0] @ covariance[first, last] @ roots[1].T)[1]


def test_sums_of_workers_are_those_of_one_machine(folders, tmp_path):
  starts = range(0, _NUM_IMAGES, _BATCH)
  paths = [os.path.join(tmp_path, f'{n}.npz') for n in range(3)]
  context = multiprocessing.get_context('spawn')
  workers = [
    context.Process(target=_work, args=(folders, starts[n::3], path))
    for n, path in enumerate(paths)
  ]
  for worker in workers:
    worker.start()
  for worker in workers:
    worker.join()
    assert worker.exitcode == 0
  whole = _statistics(folders, starts)
  # Whoever is done first is added first.
  for order in itertools.permutations(map(_read, paths)):
    first, *others = order
    total = first
    for other in others:
      total = total.merge(other, None)
    for one, added in zip(
      tf.nest.flatten(whole), tf.nest.flatten(total), strict=True
    ):
      np.testing.assert_allclose(added, one, rtol=1e-10, atol=1e-8)
    np.testing.assert_allclose(
      _correlations(total), _correlations(whole), rtol=1e-9
    )

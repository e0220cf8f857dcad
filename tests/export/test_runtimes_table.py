"""What each runtime makes of the networks: docs/runtimes.md.

--rewrite_runtimes writes the rows of the networks that were run.
"""

import os
import pathlib
import time

import numpy as np
import prepared_sets
import pytest
import runtimes_table
import tensorflow as tf

from transfusion_tf import export
from transfusion_tf.export import runtimes as runtimes_lib
from transfusion_tf.run import build as run_lib
from transfusion_tf.run import ensemble
from transfusion_tf.run import train_and_evaluate

_SLOW = {'optimizer__learning_rate': 1e-4}  # Else it saturates, and images tie.
# Name -> what its runs are; of several, their ensemble.
_NETWORKS = {
  'CBR-Tiny': [{}],
  'CBR-Tiny, bfloat16': [{'train__precision': 'mixed_bfloat16'}],
  'three CBR-Tiny': [{'seed': seed} for seed in range(3)],
  'ResNet-50': [{'model__name': 'resnet50'} | _SLOW],
  'Inception-v3': [{'model__name': 'inception_v3'} | _SLOW],
  "a user's": [{'model__name': 'tiny_nets:staged_net'}],
}
_STEPS = 60
_TESTED = 200
_SAVED_MODEL = 'TensorFlow'
_TITLES = {_SAVED_MODEL: 'SavedModel'} | {
  runtime.title: runtime.file for runtime in runtimes_lib.RUNTIMES.values()
}
_BATCH = 8
_REPEATS = 9


@pytest.fixture(scope='module')
def data(tmp_path_factory):
  """Images of 32 px, which the reader scales to 224; every third is a guess."""
  folder = tmp_path_factory.mktemp('data')
  rng = np.random.default_rng(0)
  splits = {}
  for seed, (split, count) in enumerate(
    {'train': 480, 'validation': 33, 'test': _TESTED}.items()
  ):
    splits[split] = list(prepared_sets.spots(count, seed))
    for example in splits[split][::3]:
      example['grade'] = int(rng.integers(5))
  prepared_sets.write(folder, 'retina', {'grade': prepared_sets.GRADES}, splits)
  return folder


def _loaded(directory):
  """The function of each file, on one thread where that can be chosen."""
  serve = tf.saved_model.load(directory).signatures['serve_pixels']
  functions = {
    _SAVED_MODEL: lambda pixels: serve(tf.constant(pixels))['probabilities']
  }
  for runtime in runtimes_lib.RUNTIMES.values():
    path = os.path.join(directory, runtime.file)
    functions[runtime.title] = runtime.load(path, num_threads=1)
  return functions


def _milliseconds(functions, pixels):
  """Median CPU time of each; they take turns, so that all share the noise."""
  found = {name: [] for name in functions}
  for _ in range(_REPEATS + 2):
    for name, function in functions.items():
      began = time.process_time()
      function(pixels)
      found[name].append(1000 * (time.process_time() - began))
  return {name: np.median(times[2:]) for name, times in found.items()}


def _size(directory, title):
  root = pathlib.Path(directory)
  if title == _SAVED_MODEL:
    files = [root / 'saved_model.pb', *(root / 'variables').iterdir()]
  else:
    (runtime,) = (r for r in runtimes_lib.RUNTIMES.values() if r.title == title)
    files = [root / name for name in runtime.files]
  return sum(file.stat().st_size for file in files) / 1e6


def _trained(runs, data, folder):
  """The run, or the ensemble of several."""
  named = []
  for number, changes in enumerate(runs):
    run_dir = str(folder / str(number))
    settings = {
      'data__image_size': 224,
      'train__batch_size': 8,
      'train__train_steps': _STEPS,
      'train__eval_every': _STEPS,
    } | changes
    train_and_evaluate.run(prepared_sets.experiment(data, **settings), run_dir)
    named.append((run_dir, 'final'))
  if len(named) > 1:
    return ensemble.load_run(named, strategy='one_device')
  return run_lib.load_run(*named[0], strategy='one_device')


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize('network', _NETWORKS)
def test_runtimes_agree(network, data, tmp_path, pytestconfig):
  for runtime in runtimes_lib.RUNTIMES.values():
    for module in (*runtime.modules, 'ai_edge_litert'):
      pytest.importorskip(module, reason=f'{module} is not installed')
  run = _trained(_NETWORKS[network], data, tmp_path)
  made = export.export(
    run, tmp_path / 'made', runtimes=runtimes_lib.RUNTIMES, num_checked=0
  )
  assert made.num_checked == _TESTED
  source = run.source
  records = source.prepared.records('test').take(_BATCH)
  pixels = np.float32(
    [
      source.reader.evaluation(source.prepared.parse(record)['image'])
      for record in records
    ]
  )
  functions = _loaded(made.directory)
  one = _milliseconds(functions, pixels[:1])
  batch = _milliseconds(functions, pixels)
  new_rows = {}
  for title, file in _TITLES.items():
    agreement = made.agreements[file]
    is_rounded = 'int8' in file
    assert agreement.difference < (0.5 if is_rounded else 1e-4)
    assert agreement.score == pytest.approx(
      made.score, abs=0.1 if is_rounded else 2e-3
    )
    new_rows[network, title] = (
      f'{agreement.difference:.1g}',
      agreement.score_text,
      f'{one[title]:.3g}',
      f'{batch[title] / _BATCH:.3g}',
      f'{_size(made.directory, title):.3g}',
    )
  if pytestconfig.getoption('rewrite_runtimes'):
    runtimes_table.write(list(_NETWORKS), new_rows)


def test_the_page_has_each_runtime_of_a_network():
  rows = runtimes_table.rows()
  networks = {network for network, _ in rows}
  assert networks and networks <= set(_NETWORKS)
  assert set(rows) == {(n, title) for n in networks for title in _TITLES}

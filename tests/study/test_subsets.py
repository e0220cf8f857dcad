"""Studies on subsets: the right patients, refusals, and going on."""

import json
import os
import pathlib

import numpy as np
import pandas as pd
import prepared_sets
import pytest

from transfusion_tf import errors
from transfusion_tf.input_pipeline import example_order
from transfusion_tf.input_pipeline import tfds_folder
from transfusion_tf.study import model_cost
from transfusion_tf.study import outcome
from transfusion_tf.study import plan as plan_lib
from transfusion_tf.study import runner
from transfusion_tf.study import similarity as similarity_lib
from transfusion_tf.study import study_page
from transfusion_tf.study import subsets

_NETS = """
import keras
from keras import layers

def net(num_classes, input_shape):
  return keras.Sequential([
    keras.Input(input_shape), layers.Conv2D(8, 5, strides=2),
    layers.ReLU(), layers.GlobalMaxPooling2D(), layers.Dense(num_classes)])
"""
_MODEL = 'tiny_nets:net'


def _opened(data_dir):
  return tfds_folder.open_dataset(str(data_dir), 'retina')


def _make(data_dir, *sizes):
  base = prepared_sets.experiment(data_dir)
  return subsets.make(_opened(data_dir), sizes, base, 'demo_retina')


def _plan(data_dir, *sizes, **changes):
  settings = {
    'base': prepared_sets.experiment(data_dir),
    'models': (_MODEL,),
    'starts': ('random', 'transfer', 'transfer@conv1', 'lp_ft'),
    'num_seeds': 2,
    'sources': {_MODEL: {'': 'weights.keras'}},
    'subsets': _make(data_dir, *sizes),
  }
  return plan_lib.Plan(**settings | changes)


def test_runs_on_subsets_are_of_the_starts_without_a_stage(data_dir):
  runs = _plan(data_dir, 20, 40).subset_runs('root')
  assert [run.key for run in runs] == [
    f'tiny_nets-net/{start}/n{size}/seed{seed}'
    for size in (20, 40)
    for start in ('random', 'transfer', 'lp_ft')
    for seed in (0, 1)
  ]
  assert [run.patients for run in runs] == [20] * 6 + [40] * 6
  assert {run.start for run in runs} == {'random', 'transfer', 'lp_ft'}
  # The spots have two images a patient.
  assert {run.experiment.data.subset for run in runs[:6]} == {40}


def test_the_rate_of_the_whole_set_is_that_of_subsets(data_dir):
  plan = _plan(
    data_dir,
    20,
    rates=(0.001, 0.01),
    chosen={(_MODEL, 'random'): 0.01, (_MODEL, 'transfer'): 0.001},
  )
  runs = {run.key: run.experiment for run in plan.subset_runs('root')}
  key = 'tiny_nets-net/random/n20/lr0.01/seed1'
  assert runs[key].optimizer.learning_rate == 0.01
  assert 'tiny_nets-net/transfer/n20/seed1' in runs


def test_each_subset_is_of_whole_patients_inside_the_next(tmp_path):
  """Also where patients have different numbers of images."""
  examples = list(prepared_sets.spots(60, seed=3))
  for number, example in enumerate(examples):
    example['patient_id'] = f'p{int(np.sqrt(number))}'
  prepared_sets.write(
    tmp_path,
    'retina',
    {'grade': prepared_sets.GRADES},
    {'train': examples, 'validation': examples[:8]},
  )
  made = _make(tmp_path, 4, 6)
  assert (made.total, made.unit) == (8, 'patients')
  index = _opened(tmp_path).index('train')
  seen = []
  for size, base in made.bases.items():
    source = prepared_sets.source(tmp_path, data__subset=base.data.subset)
    chosen = _read(source)
    patients = {str(index.patient_ids[row]) for row in chosen}
    assert len(patients) == size
    # All of their images, and of nobody else.
    assert chosen == set(
      np.flatnonzero(np.isin(index.patient_ids, [*patients]))
    )
    seen.append(chosen)
  assert seen[0] < seen[1]


def _read(source):
  """The rows of the training split that a run on `source` reads."""
  records = source.prepared.records('train').map(source.prepared.parse)
  select = example_order.selection(source)
  ids = [e['image_id'].numpy().decode() for e in select(records)]
  index = source.prepared.index('train')
  assert len(ids) == source.data.subset
  return {int(np.flatnonzero(index.image_ids == name)[0]) for name in ids}


@pytest.mark.parametrize(
  ('texts', 'message'),
  [
    (['fifty'], 'give whole numbers'),
    (['0', '5'], '0 is not positive'),
    (['-5'], '-5 is not positive'),
    (['5', '5'], '5 is not positive, or stands twice'),
  ],
)
def test_no_numbers_of_patients(texts, message):
  with pytest.raises(errors.InputError, match=message):
    subsets.parse(texts)


@pytest.mark.parametrize('size', [48, 500])
def test_more_patients_than_there_are_are_refused(data_dir, size):
  with pytest.raises(errors.InputError, match='has 48 patients to train on'):
    _make(data_dir, 20, size)


def test_a_size_without_a_class_names_one_that_has_it(data_dir):
  with pytest.raises(errors.InputError, match=r'--subsets=2: no \d') as caught:
    _make(data_dir, 2, 40)
  enough = int(str(caught.value).split('give ')[1].split()[0])
  assert set(_make(data_dir, enough, 40).bases) == {enough, 40}
  with pytest.raises(errors.InputError, match=f'give {enough} or more'):
    _make(data_dir, enough - 1)


def test_images_are_counted_where_patients_are_unknown(tmp_path):
  examples = list(prepared_sets.spots(40, seed=3))
  for example in examples:
    example['patient_id'] = example['image_id']
  prepared_sets.write(
    tmp_path,
    'retina',
    {'grade': prepared_sets.GRADES},
    {'train': examples, 'validation': examples[:8]},
  )
  assert _make(tmp_path, 30).unit == 'images'


_FLAGS = (
  '--recipe=demo_retina',
  '--dataset=retina',
  '--image_size=32',
  '--batch_size=8',
  '--epochs=1',
  '--models=nets:net',
  '--inits=random,transfer',
  '--pretrained=nets:net=study/nets-net/random/seed0',
  '--seeds=2',
  '--noprobes',
  '--nolocate_benefit',
  '--output_dir=study',
)


def _results(root):
  """Key of each finished run -> when it was written."""
  return {
    str(path.parent.relative_to(root)): path.stat().st_mtime_ns
    for path in pathlib.Path(root).rglob('result.json')
  }


@pytest.mark.slow
def test_a_study_goes_on_to_subsets(call, data_dir, tmp_path):
  (tmp_path / 'nets.py').write_text(_NETS)
  root = tmp_path / 'study'
  flags = (*_FLAGS, f'--data_dir={data_dir}')
  refused = call('study.py', *flags, '--subsets=30,48', cwd=tmp_path)
  assert refused.returncode == 2
  assert '--subsets=48' in refused.stderr.splitlines()[-1]
  assert not _results(root)

  done = call('study.py', *flags, cwd=tmp_path)
  assert done.returncode == 0, done.stderr + done.stdout
  whole, table = _results(root), (root / 'study.csv').read_text()
  assert len(whole) == 4
  assert not (root / 'learning_curve.csv').exists()

  done = call('study.py', *flags, '--subsets=20,30', cwd=tmp_path)
  assert done.returncode == 0, done.stderr + done.stdout
  everything = _results(root)
  assert len(everything) == 12
  assert {key: everything[key] for key in whole} == whole
  assert '12 runs; if stopped, the same command continues' in done.stdout
  # But for the time that an image takes.
  shown = [
    pd.read_csv(path).drop(columns='CPU ms')
    for path in (root / 'study.csv', _written(tmp_path / 'old.csv', table))
  ]
  pd.testing.assert_frame_equal(*shown)
  result = json.loads(
    (root / 'nets-net/transfer/n20/seed1/result.json').read_text()
  )
  assert result['num_train'] == 40
  rows = pd.read_csv(root / 'learning_curve.csv')
  assert set(rows['patients']) >= {20, 30, 48}
  assert set(rows['images'].dropna()) >= {40, 60, 96}
  page = (root / 'report.html').read_text()
  assert 'How much data is enough for nets:net?' in page

  os.remove(root / 'nets-net/random/n30/seed0/result.json')
  done = call('study.py', *flags, '--subsets=20,30', cwd=tmp_path)
  assert done.returncode == 0, done.stderr + done.stdout
  again = _results(root)
  changed = {key for key in again if again[key] != everything[key]}
  assert changed == {'nets-net/random/n30/seed0'}


def _written(path, text):
  path.write_text(text)
  return path


def test_a_missing_run_on_a_subset_leaves_the_table(data_dir, tmp_path):
  root = str(tmp_path)
  plan = _plan(data_dir, 20, 40, starts=('random',), sources={}, num_seeds=1)
  planned = {run.key: run.experiment for run in plan.runs(root)}
  first, second = plan.subset_runs(root)
  assert runner.train(planned | {first.key: first.experiment}, root) == {}
  result = json.loads((tmp_path / first.key / 'result.json').read_text())
  assert result['num_train'] == 40
  found = outcome.read(plan, root, {second.key: 'KeyError: a bug'})
  assert [run.key for run in found.results] == [*planned]
  assert [run.key for run in found.of_subsets[20]] == [first.key]
  (failure,) = found.failures
  assert (failure.key, failure.patients) == (second.key, 40)
  costs = {_MODEL: model_cost.Footprint(30, 1e9, 1.0)}
  similarity, _ = similarity_lib.measure({})
  study_page.write(root, 'own', found, costs, 0.01, similarity, {})
  table = pd.read_csv(tmp_path / 'study.csv')
  assert list(table['Seeds']) == [1]
  assert 'Failed' not in table
  page = (tmp_path / 'report.html').read_text()
  assert second.key in page
  assert 'KeyError: a bug' in page

"""Several runs as one: their mean, what it gains, and what it refuses."""

import json
import pathlib
import shutil

import keras
import numpy as np
import pandas as pd
import prepared_sets
import pytest
import runs
from sklearn import metrics as sklearn_metrics
import tensorflow as tf
import tensorflow_datasets as tfds

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import export
from transfusion_tf import run_folder
from transfusion_tf.predict import networks
from transfusion_tf.run import build as run_lib
from transfusion_tf.run import description
from transfusion_tf.run import ensemble
from transfusion_tf.run import ensemble_scores
from transfusion_tf.run import record

_NETWORKS = ('tiny_nets:net', 'tiny_nets:net', 'cbr_tiny')


def _train(data_dir, run_dir, **changes):
  experiment = prepared_sets.experiment(
    data_dir,
    **{
      'model__name': 'tiny_nets:net',
      'train__train_steps': 40,
      'train__eval_every': 20,
      'optimizer__learning_rate': 0.01,
    }
    | changes,
  )
  runs.train(experiment, run_dir)
  return str(run_dir)


@pytest.fixture(scope='module')
def run_dirs(tmp_path_factory, data_dir):
  root = tmp_path_factory.mktemp('ensemble')
  return [
    _train(data_dir, root / f'run{n}', seed=n, model__name=name)
    for n, name in enumerate(_NETWORKS)
  ]


@pytest.fixture(scope='module')
def named(run_dirs):
  return [(run_dir, 'best') for run_dir in run_dirs]


@pytest.fixture(scope='module')
def together(named):
  return ensemble.load_run(named, strategy='one_device')


def _singles(named, split):
  return [
    run_lib.load_run(*name, strategy='one_device').predictor()(split)
    for name in named
  ]


def test_probabilities_are_the_mean_of_those_of_the_members(named, together):
  expected = np.mean(_singles(named, 'test'), axis=0)
  np.testing.assert_allclose(together.predictor()('test'), expected, atol=1e-6)
  each = together.each_probabilities('test')
  np.testing.assert_allclose(each, _singles(named, 'test'), atol=1e-6)


def test_the_keras_model_has_logits_of_the_mean(together):
  images = np.random.default_rng(0).integers(0, 255, (3, 32, 32, 3), np.uint8)
  prepared = together.prepare_evaluation(tf.constant(images))
  found = together.task.probabilities(together.model(prepared))
  np.testing.assert_allclose(
    found, together.probabilities(tf.constant(images)), atol=1e-6
  )


@pytest.mark.parametrize('kind', ['label', 'findings'])
def test_logits_of_other_kinds_are_those_of_the_mean(kind):
  """Of a choice and of findings, whatever the scales of the members."""
  rng = np.random.default_rng(1)
  names = ('a', 'b', 'c')
  task = ensemble.tasks.from_json({'kind': kind, 'names': names})
  models = []
  for scale in (1.0, 30.0):
    inputs = keras.Input((4,))
    outputs = keras.layers.Dense(3, kernel_initializer='random_normal')(inputs)
    model = keras.Model(inputs, outputs)
    model.layers[-1].kernel.assign(rng.normal(size=(4, 3)) * scale)
    models.append(model)
  joined = ensemble.joined(task, models)
  x = rng.normal(size=(50, 4)).astype(np.float32)
  expected = np.mean([task.probabilities(m(x)) for m in models], axis=0)
  np.testing.assert_allclose(task.probabilities(joined(x)), expected, atol=1e-6)


def test_the_gain_is_that_of_scikit_learn(named, together):
  validation, lacking = ensemble_scores.validation(together, 'test')
  assert not lacking
  gain = ensemble_scores.evaluate(together, 'test', validation)
  referable = together.labels('test')['grade'] >= 2

  def auc(probabilities):
    scores = probabilities[:, 2:].sum(axis=1) / probabilities.sum(axis=1)
    return sklearn_metrics.roc_auc_score(referable, scores)

  singles = _singles(named, 'test')
  aucs = [auc(each) for each in singles]
  ours = auc(np.mean(singles, axis=0))
  assert gain.summaries['referable']['value'] == pytest.approx(ours)
  found = [gain.members[n]['referable']['value'] for n in together.members]
  assert found == pytest.approx(aucs)
  over = gain.over_mean['referable']
  assert over['value'] == pytest.approx(ours - np.mean(aucs))
  assert over['low'] < over['value'] < over['high']
  on_validation = [
    pd.read_csv(f'{run_dir}/validation_scores.csv') for run_dir, _ in named
  ]
  aucs_of_validation = [
    sklearn_metrics.roc_auc_score(t['true:class'] >= 2, t['referable:score'])
    for t in on_validation
  ]
  best = int(np.argmax(aucs_of_validation))
  assert gain.best == together.members[best]
  assert gain.over_best['referable']['value'] == pytest.approx(
    ours - aucs[best]
  )


def test_the_interval_of_the_gain_is_that_of_a_bootstrap_of_patients(together):
  gain = ensemble_scores.evaluate(together, 'test')
  each = together.each_probabilities('test')
  patients = gain.scores['patient_id'].to_numpy()
  brier = [
    together.metrics('test', p)['brier'] for p in (each.mean(axis=0), *each)
  ]
  rng = np.random.default_rng(0)
  names, number = np.unique(patients, return_inverse=True)
  drawn = rng.multinomial(
    len(names), np.full(len(names), 1 / len(names)), size=4000
  )[:, number].astype(float)
  values = [metric.value(drawn) for metric in brier]
  differences = values[0] - np.mean(values[1:], axis=0)
  expected = 2 * 2.1 * differences.std()  # Student's, of 17 patients.
  found = gain.over_mean['brier']
  assert found['high'] - found['low'] == pytest.approx(expected, rel=0.2)


def test_thresholds_are_chosen_on_the_ensembles_validation_scores(
  together, named
):
  chosen = ensemble_scores.decisions(together.parts, together.task)
  probabilities = np.mean(_singles(named, 'validation'), axis=0)
  scores = probabilities[:, 2:].sum(axis=1) / probabilities.sum(axis=1)
  referable = together.labels('validation')['grade'] >= 2
  for point in chosen.points:
    called = scores >= point.threshold - 1e-6
    if point.target.name == 'high sensitivity':
      assert called[referable].mean() >= point.target.at_least
    else:
      assert (~called)[~referable].mean() >= point.target.at_least
  # No single network's: they were chosen on other scores.
  for run_dir, _ in named:
    step = run_folder.result(run_dir)['judged_step']
    own = run_folder.decisions(run_dir, step)
    assert own.points != chosen.points


def test_predict_and_export_answer_as_evaluation(tmp_path, named, together):
  record_of_it = record.of_ensemble(together)
  made = export.export(
    together, tmp_path / 'made', record=record_of_it, runtimes=('tflite',)
  )
  assert max(made.differences.values()) <= 1e-5
  prepared = together.source.prepared
  encoded = [
    prepared.parse(r)['image'].numpy() for r in prepared.records('test')
  ]
  expected = together.predictor()('test')
  serve = tf.saved_model.load(made.directory).signatures['serve_prepared']
  answer = serve(tf.constant(encoded))
  np.testing.assert_allclose(answer['probabilities'], expected, atol=1e-6)
  of_runs = networks.from_runs(named, strategy='one_device')
  size = of_runs.batch_size
  found, status = of_runs.probabilities(encoded[:size])
  assert set(status) == {'ok'}
  np.testing.assert_allclose(found, expected[:size], atol=1e-6)
  carried = description.read(made.directory)
  assert carried.decisions == of_runs.description.decisions
  assert carried.decisions == record_of_it.decisions
  card = pathlib.Path(made.directory, 'model_card.md').read_text()
  words = ' '.join(card.split())
  assert 'mean of the probabilities of 3 networks' in words
  for name in together.members:
    assert name in words
  gain = ensemble_scores.evaluate(together, 'test')
  assert f'{gain.summaries["referable"]["value"]:.4f}' in card
  loaded = keras.models.load_model(
    tmp_path / 'made' / 'model.keras', compile=False
  )
  assert loaded.count_params() == together.model.count_params()


@pytest.mark.slow
def test_bf16_members_are_exported_in_float32(tmp_path, data_dir, named):
  rounded = _train(
    data_dir, tmp_path / 'run', train__precision='mixed_bfloat16', seed=7
  )
  run = ensemble.load_run([named[0], (rounded, 'best')], strategy='one_device')
  assert run.network.precision == 'float32 and mixed_bfloat16'
  made = export.export(run, tmp_path / 'made')
  assert max(made.differences.values()) <= 1e-5
  assert 0 < made.in_training.difference < 0.05


def test_evaluate_writes_what_it_prints(tmp_path, call, run_dirs):
  found = call(
    'evaluate.py',
    f'--run_dir={",".join(run_dirs)}',
    f'--output_dir={tmp_path}',
    f'--parquet={tmp_path}/all.parquet',
  )
  assert found.returncode == 0, found.stderr
  path = tmp_path / 'scores_test_ensemble.csv'
  header = json.loads(path.with_suffix('.json').read_text())
  table = pd.read_csv(path)
  assert list(pd.read_parquet(tmp_path / 'all.parquet')) == list(table)
  value = sklearn_metrics.roc_auc_score(
    table['true:class'] >= 2, table['referable:score']
  )
  assert header['metrics']['referable']['value'] == pytest.approx(value)
  assert f'test referable {value:.4f}' in found.stdout
  assert [r['run'] for r in header['runs']] == run_dirs
  best = header['gain']['best_member']
  over = header['gain']['over_best_member']['referable']['value']
  assert f'less that of {best}, the best single one {over:.4f}' in found.stdout
  assert {p['point'] for p in header['operating_points']} == {
    'high specificity',
    'high sensitivity',
  }
  assert path.with_name('scores_test_ensemble_reliability.png').exists()


def test_predict_takes_an_ensemble(tmp_path, call, run_dirs, data_dir):
  """Of the command; that it answers as evaluation is tested above."""
  folder = tmp_path / 'pictures'
  folder.mkdir()
  image = np.full((40, 40, 3), 90, np.uint8)
  tf.io.write_file(str(folder / 'one.jpeg'), tf.io.encode_jpeg(image))
  found = call(
    'predict.py',
    f'--run_dir={",".join(run_dirs)}',
    f'--images={folder}',
    f'--output={tmp_path}/answers.csv',
    f'--data_dir={data_dir}',
  )
  assert found.returncode == 0, found.stderr
  (row,) = pd.read_csv(tmp_path / 'answers.csv').to_dict('records')
  assert row['status'] == 'ok'
  assert row['decision_high_specificity'] in (0, 1)


def test_members_have_to_mean_and_see_the_same(tmp_path, data_dir, run_dirs):
  first = run_dirs[0]

  def refused(other):
    with pytest.raises(errors.InputError) as caught:
      ensemble.load_run([(first, 'best'), (other, 'best')])
    return str(caught.value)

  other = _train(data_dir, tmp_path / 'referable', data__referable_from=3)
  assert 'referable_from: 3, not 2' in refused(other)
  other = tmp_path / 'small'
  shutil.copytree(run_dirs[1], other)
  path = str(other / run_folder.CONFIG)
  small = config.override(config.load(path), {'data.image_size': 24})
  config.save(small, path)
  assert 'data.image_size: 24, not 32' in refused(str(other))
  assert 'is there twice' in refused(first)


@pytest.mark.parametrize(
  'flags, part',
  [
    (['--run_dir={0},{1}'], '--output_dir'),
    (['--run_dir={0},,{1}', '--output_dir={2}'], 'between commas is empty'),
    (['--run_dir={0},{1}', '--output_dir={0}'], 'is the folder of a run'),
    (
      ['--run_dir={0},{1}', '--output_dir={2}', '--store_points'],
      'are for one run',
    ),
    (
      ['--run_dir={0},{1}', '--output_dir={2}', '--parquet=all.csv'],
      'does not end in .parquet',
    ),
  ],
)
def test_evaluate_refuses_in_one_line(tmp_path, call, run_dirs, flags, part):
  given = [f.format(*run_dirs[:2], tmp_path / 'out') for f in flags]
  found = call('evaluate.py', *given)
  assert found.returncode == 2
  assert part in found.stderr
  assert len(found.stderr.strip().splitlines()) == 1
  assert not (tmp_path / 'out').exists()


def test_an_ensemble_is_validated_on_another_site(
  tmp_path, call, run_dirs, data_dir
):
  """Beside the mean of the members' own test scores, with a page."""
  prepared_sets.write_spots(tmp_path / 'data', 'clinic', test=60)
  found = call(
    'evaluate.py',
    f'--run_dir={",".join(run_dirs)}',
    f'--data_dir={tmp_path}/data',
    '--dataset=clinic',
    f'--output_dir={tmp_path}/out',
  )
  assert found.returncode == 0, found.stderr
  (path,) = (tmp_path / 'out').glob('scores_clinic-*_test_ensemble.json')
  header = json.loads(path.read_text())
  tables = [pd.read_csv(f'{run_dir}/test_scores.csv') for run_dir in run_dirs]
  mean = np.mean([table[list('01234')] for table in tables], axis=0)
  home = sklearn_metrics.roc_auc_score(
    tables[0]['true:class'] >= 2, mean[:, 2:].sum(axis=1) / mean.sum(axis=1)
  )
  here = header['metrics']['referable']['value']
  difference = header['differences']['referable']['value']
  assert difference == pytest.approx(here - home)
  page = path.with_suffix('.html').read_text()
  assert 'Ensemble of 3 runs on clinic' in page
  assert header['operating_points'][0]['point'] in page


@pytest.mark.slow
def test_an_ensemble_of_several_classes_is_validated(tmp_path, call):
  """Which have no thresholds, and calibration of the most probable class."""
  names = ['a', 'b', 'c']
  label = {'label': tfds.features.ClassLabel(names=names)}
  rng = np.random.default_rng(0)

  def examples(split, count):
    for n in range(count):
      image = rng.integers(0, 120, (32, 32, 3)).astype(np.uint8)
      image[..., n % 3] += 60
      ids = {'image_id': f'{split}{n}', 'patient_id': f'{split}{n // 2}'}
      yield {'image': image, 'label': n % 3, **ids}

  for name in ('home', 'away'):
    splits = {'train': 48, 'validation': 30, 'test': 45}
    prepared_sets.write(
      tmp_path,
      name,
      label,
      {s: list(examples(name + s, n)) for s, n in splits.items()},
    )
  run_dirs = [
    _train(tmp_path, tmp_path / f'r{n}', data__dataset='home', seed=n)
    for n in range(2)
  ]
  found = call(
    'evaluate.py',
    f'--run_dir={",".join(run_dirs)}',
    '--dataset=away',
    f'--output_dir={tmp_path}/out',
  )
  assert found.returncode == 0, found.stderr
  assert 'operating points' not in found.stdout
  (page,) = (tmp_path / 'out').glob('*.html')
  assert 'At the fixed thresholds' not in page.read_text()
  assert 'macro' not in page.read_text()
  assert 'AUC, mean over classes' in page.read_text()

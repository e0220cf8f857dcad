"""A run from start to result, and every way in which it is refused."""

import functools
import json
import os
import pathlib
import subprocess
import sys
import types

import keras
import numpy as np
import pandas as pd
import prepared_sets
import pytest
import runs
from sklearn import metrics as sklearn_metrics
import tensorflow as tf
import tensorflow_datasets as tfds

import transfusion_tf
from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import init
from transfusion_tf import run_folder
from transfusion_tf.input_pipeline import pipeline
from transfusion_tf.run import build as run_lib
from transfusion_tf.run import train_and_evaluate
from transfusion_tf.train import checkpoint


@pytest.fixture(scope='module')
def run_dir(data_dir, tmp_path_factory):
  """A finished run on the small set."""
  run_dir = str(tmp_path_factory.mktemp('runs') / 'random')
  train_and_evaluate.run(
    prepared_sets.experiment(
      data_dir, train__train_steps=40, train__eval_every=10
    ),
    run_dir,
  )
  return run_dir


def _run(data_dir, run_dir, **changes):
  experiment = prepared_sets.experiment(data_dir, **changes)
  return runs.train(experiment, run_dir)


def _own_run(data_dir, run_dir, module, function, **changes):
  """Runs a network that `function` makes, as a user's module would."""
  own = types.ModuleType(module)
  own.net = function
  sys.modules[module] = own
  try:
    experiment = prepared_sets.experiment(
      data_dir,
      model__name=f'{module}:net',
      train__train_steps=3,
      **changes,
    )
    result = train_and_evaluate.run(experiment, str(run_dir))
    return result, init.weights.load(str(run_dir))
  finally:
    del sys.modules[module]


def _spectral(num_classes, input_shape, regularizer=None):
  layers = keras.layers
  conv = layers.Conv2D(8, 3, kernel_regularizer=regularizer, name='c1')
  model = keras.Sequential(
    [
      keras.Input(input_shape),
      layers.SpectralNormalization(conv, name='spectral'),
      layers.Conv2D(8, 3, name='c2'),
      layers.GlobalAveragePooling2D(name='pool'),
      layers.Dense(num_classes, name='head'),
    ],
    name='net',
  )
  return model, {'conv1': 'spectral', 'conv2': 'c2|pool', 'head': 'head'}


def test_frozen_weights_do_not_change_and_are_counted(data_dir, tmp_path):
  """Not even those that a layer assigns itself."""
  result, weights = _own_run(
    data_dir,
    tmp_path / 'run',
    'spectral_net',
    _spectral,
    init__freeze_upto='conv1',
  )
  assert result['frozen_weights'] == 3
  before = init.weights.load(f'{tmp_path}/run@init')
  for path, values in weights.items():
    same = (values == before[path]).all()
    assert same == path.startswith('spectral'), path


def test_a_layer_that_changes_frozen_weights_is_told_at_the_end(
  data_dir, tmp_path
):
  class Counting(keras.layers.Layer):
    def build(self, shape):
      self.calls = self.add_weight(shape=(), trainable=False, name='calls')
      self.conv = keras.layers.Conv2D(4, 3, name='conv')
      self.conv.build(shape)

    def call(self, x):
      self.calls.assign_add(1.0)  # Whether or not it trains.
      return self.conv(x)

  def counting(num_classes, input_shape):
    model = keras.Sequential(
      [
        keras.Input(input_shape),
        Counting(name='first'),
        keras.layers.GlobalAveragePooling2D(name='pool'),
        keras.layers.Dense(num_classes, name='head'),
      ],
      name='counting',
    )
    return model, {'first': 'first', 'head': 'pool|head'}

  words = 'frozen weights have changed in training: first/calls'
  with pytest.raises(errors.RunError, match=words):
    _own_run(
      data_dir,
      tmp_path / 'run',
      'counting_net',
      counting,
      init__freeze_upto='first',
    )


def test_losses_of_layers_count(data_dir, tmp_path):
  found = []
  for name, regularizer in (('off', None), ('on', keras.regularizers.L2(0.5))):
    function = functools.partial(_spectral, regularizer=regularizer)
    _, weights = _own_run(
      data_dir, tmp_path / name, f'regular_{name}', function
    )
    found.append(weights['spectral/c1/kernel'])
  assert np.abs(found[1]).mean() < np.abs(found[0]).mean()


def test_weights_of_which_none_fits_are_refused(data_dir, run_dir, tmp_path):
  def other(num_classes, input_shape):
    return _spectral(num_classes, input_shape)[0]

  with pytest.raises(errors.InputError, match='missing: spectral'):
    _own_run(
      data_dir,
      tmp_path / 'run',
      'other_net',
      other,
      init__scheme='transfer',
      init__pretrained=run_dir,
    )


def test_transferred_features_are_compared_with_their_source(
  data_dir, tmp_path, capsys
):
  """With the same network they agree; with another activation they do not."""

  def net(num_classes, input_shape, activation='relu'):
    return keras.Sequential(
      [
        keras.Input(input_shape),
        keras.layers.Conv2D(8, 5, activation=activation, name='c1'),
        keras.layers.Conv2D(8, 3, activation=activation, name='c2'),
        keras.layers.GlobalAveragePooling2D(name='pool'),
        keras.layers.Dense(num_classes, name='head'),
      ],
      name='net',
    )

  pretrained = tmp_path / 'pretrained.keras'
  net(3, (32, 32, 3)).save(pretrained)
  transfer = {
    'init__scheme': 'transfer',
    'init__pretrained': str(pretrained),
    'init__pretrained_input': 'imagenet',
  }
  result, _ = _own_run(data_dir, tmp_path / 'a', 'same_net', net, **transfer)
  assert result['pretrained_difference'] < 1e-5
  assert 'features differ' not in capsys.readouterr().out
  transfer_run = transfer | {
    'init__pretrained': f'{tmp_path}/a@final',
    'init__pretrained_input': '',
  }
  _own_run(data_dir, tmp_path / 'c', 'same_net', net, **transfer_run)
  assert 'was another' not in capsys.readouterr().out
  other = functools.partial(net, activation='tanh')
  _own_run(data_dir, tmp_path / 'd', 'tanh_net', other, **transfer_run)
  words = 'a@3 was another: net c1 has activation tanh, had relu; c2 has'
  assert words in capsys.readouterr().out
  result, _ = _own_run(data_dir, tmp_path / 'b', 'tanh_net', other, **transfer)
  assert result['pretrained_difference'] > 0.1
  assert 'the networks compute something else' in capsys.readouterr().out


def test_a_run_leaves_what_it_promises(run_dir):
  assert set(os.listdir(run_dir)) >= {
    run_folder.CONFIG,
    run_folder.INIT,
    run_folder.NETWORK,
    run_folder.METRICS,
    run_folder.RESULT,
    run_folder.CHECKPOINTS,
    run_folder.TENSORBOARD,
    run_folder.TEST_SCORES,
  }
  assert not [name for name in os.listdir(run_dir) if 'partial' in name]
  rows = [json.loads(line) for line in open(f'{run_dir}/metrics.jsonl')]
  assert [row['step'] for row in rows] == [0, 10, 20, 30, 40]
  steps = checkpoint.steps(os.path.join(run_dir, run_folder.CHECKPOINTS))
  assert {0, 40} <= set(steps)


def test_it_learns(run_dir):
  assert run_folder.result(run_dir)['test']['referable']['value'] > 0.85


def test_the_test_auc_is_that_of_the_scores_file(run_dir, data_dir):
  """Recomputed from the CSV and the images' own grades, by scikit-learn."""
  scores = pd.read_csv(os.path.join(run_dir, run_folder.TEST_SCORES))
  index = prepared_sets.source(data_dir).prepared.index('test')
  assert list(scores['image_id']) == list(index.image_ids)
  p = scores[list('01234')].to_numpy()
  auc = sklearn_metrics.roc_auc_score(
    index.labels['grade'] >= 2, p[:, 2:].sum(axis=1) / p.sum(axis=1)
  )
  result = run_folder.result(run_dir)['test']['referable']
  assert result['value'] == pytest.approx(auc, abs=1e-6)
  assert result['low'] <= auc <= result['high']


def test_a_finished_run_is_not_run_again(run_dir, data_dir):
  before = os.stat(os.path.join(run_dir, run_folder.RESULT)).st_mtime_ns
  _run(data_dir, run_dir, train__train_steps=40, train__eval_every=10)
  after = os.stat(os.path.join(run_dir, run_folder.RESULT)).st_mtime_ns
  assert before == after


def test_the_step_0_weights_are_those_that_init_reports(run_dir):
  report = json.load(open(os.path.join(run_dir, run_folder.INIT)))
  weights = checkpoint.read(os.path.join(run_dir, run_folder.CHECKPOINTS), 0)
  assert {row['path'] for row in report} == set(weights)
  for row in report:
    assert weights[row['path']].mean() == pytest.approx(row['mean'], abs=1e-6)


def test_a_loaded_run_scores_as_it_did(run_dir):
  run = run_lib.load_run(run_dir, 'best')
  _, found = run_lib.evaluate(run, 'test')
  result = run_folder.result(run_dir)['test']['referable']
  assert found['referable']['value'] == result['value']


def test_checkpoints_by_name(run_dir):
  def step(which):
    return run_folder.checkpoint_step(run_dir, which)

  assert (step('init'), step('final')) == (0, 40)
  assert step('best') == run_folder.result(run_dir)['judged_step']
  with pytest.raises(errors.InputError, match='did you mean'):
    step('finale')


@pytest.mark.parametrize('scheme', ['random', 'transfer'])
def test_frozen_stages_have_statistics_that_fit(
  run_dir, data_dir, tmp_path, scheme
):
  """Estimated on training images, unless they are those of the weights."""
  source = {} if scheme == 'random' else {'init__pretrained': run_dir}
  _run(
    data_dir,
    tmp_path / 'run',
    init__scheme=scheme,
    init__freeze_upto='conv3',
    init__statistics_batches=12,
    train__train_steps=1,
    **source,
  )
  report = json.loads((tmp_path / 'run' / run_folder.INIT).read_text())
  found = {row['path'] for row in report if row['scheme'] == 'estimated'}
  expected = {
    f'conv{layer}.bn/moving_{name}'
    for layer in (1, 2, 3)
    for name in ('mean', 'variance')
  }
  if scheme == 'transfer':
    assert not found
    return
  assert found == expected
  run = run_lib.load_run(str(tmp_path / 'run'), 'init')
  images = _training_images(run)
  for layer in ('conv1', 'conv3'):
    bn = run.model.get_layer(f'{layer}.bn')
    normalized = keras.Model(run.model.input, bn.output)(images).numpy()
    channels = (normalized - bn.beta) / bn.gamma
    assert np.abs(channels.mean(axis=(0, 1, 2))).mean() < 0.15
    assert channels.std(axis=(0, 1, 2)) == pytest.approx(1, abs=0.25)


def _training_images(run):
  batches = pipeline.train(run.source, 96)
  return run.prepare_training(next(iter(batches)))


@pytest.mark.parametrize('scheme', ['transfer', 'mean_var'])
def test_fine_tuning_starts_from_the_run_before(
  run_dir, data_dir, tmp_path, scheme
):
  _run(
    data_dir,
    tmp_path / 'run',
    init__scheme=scheme,
    init__pretrained=run_dir,
    train__train_steps=1,
  )
  best = run_folder.result(run_dir)['judged_step']
  source = checkpoint.read(os.path.join(run_dir, run_folder.CHECKPOINTS), best)
  start = checkpoint.read(str(tmp_path / 'run' / run_folder.CHECKPOINTS), 0)
  kernel = 'conv3/kernel'
  if scheme == 'transfer':
    np.testing.assert_array_equal(start[kernel], source[kernel])
  else:
    correlation = np.corrcoef(start[kernel].ravel(), source[kernel].ravel())
    assert abs(correlation[0, 1]) < 0.02
    assert start[kernel].std() == pytest.approx(source[kernel].std(), rel=0.02)
  assert not np.array_equal(start['head/kernel'], source['head/kernel'])


def test_early_stopping(data_dir, tmp_path):
  result = _run(
    data_dir,
    tmp_path / 'run',
    optimizer__learning_rate=1e-12,
    model__bn_momentum=1.0,
    train__train_steps=60,
    train__eval_every=2,
    train__patience=3,
  )
  # Nothing moves, so step 0 stays the best.
  assert (result['judged_step'], result['last_step']) == (0, 6)
  assert result['stopped_early']


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'model__name': 'resnet5'}, "did you mean 'resnet50'"),
    ({'data__dataset': 'retin'}, r'--dataset=image_table --name=retin'),
    ({'init__scheme': 'tranfer'}, "did you mean 'transfer'"),
    ({'init__scheme': 'transfer'}, 'needs weights'),
    ({'init__freeze_upto': 'block1'}, "unknown stage 'block1'"),
    ({'optimizer__name': 'adan'}, "did you mean 'adam'"),
    ({'runtime__strategy': 'mirorred'}, "did you mean 'mirrored'"),
    ({'data__normalization': 'none'}, 'normalization'),
    ({'data__subset': 1000}, 'ask for fewer'),
    (
      {'init__scheme': 'transfer', 'init__pretrained': '/nowhere'},
      'neither a run folder',
    ),
  ],
  ids=lambda value: '-'.join(value) if isinstance(value, dict) else '',
)
def test_unusable_input_is_refused_and_leaves_no_run(
  data_dir, tmp_path, changes, message
):
  run_dir = tmp_path / 'run'
  with pytest.raises(errors.InputError, match=message) as caught:
    _run(data_dir, run_dir, **changes)
  assert '\n' not in str(caught.value)
  # The same folder takes the corrected command.
  assert not checkpoint.steps(str(run_dir / run_folder.CHECKPOINTS))
  run_folder.check(prepared_sets.experiment(data_dir), str(run_dir))


def test_weights_are_fitted_to_the_input_of_the_run(
  run_dir, data_dir, tmp_path
):
  transfer = {'init__scheme': 'transfer', 'init__pretrained': str(run_dir)}
  given = {'data__normalization': 'caffe', 'train__train_steps': 2}
  _run(data_dir, tmp_path / 'run', **transfer, **given)
  old = init.weights.load(str(run_dir))['conv1/kernel']
  new = init.weights.load(f'{tmp_path}/run@init')['conv1/kernel']
  # RGB / 255 / stddev is BGR in bytes.
  stddev = np.array(config.IMAGENET_STDDEV)[:, None]
  np.testing.assert_allclose(new[:, :, ::-1], old / stddev / 255, rtol=1e-5)
  for changes, message in (
    ({'data__normalization': 'inception'}, '--normalization=imagenet$'),
    ({'init__pretrained_input': 'unit'}, 'not as pretrained_input=unit'),
  ):
    with pytest.raises(errors.InputError, match=message):
      _run(data_dir, tmp_path / 'other', **transfer, **changes)


def test_a_folder_with_another_experiment_is_refused(run_dir, data_dir):
  with pytest.raises(errors.InputError, match='seed: 0 -> 1'):
    _run(data_dir, run_dir, seed=1)


# Frozen stages read images before the training does.
@pytest.mark.parametrize('frozen', ['', 'conv1'])
def test_an_image_that_does_not_decode_is_named(frozen, tmp_path):
  splits = {
    split: list(prepared_sets.spots(8, seed))
    for seed, split in enumerate(('train', 'validation', 'test'))
  }
  splits['train'][3]['image'] = tf.io.encode_jpeg(
    splits['train'][3]['image']
  ).numpy()[:200]
  prepared_sets.write(
    tmp_path, 'retina', {'grade': prepared_sets.GRADES}, splits
  )
  with pytest.raises(errors.InputError, match='image 0_0003 of split train'):
    _run(tmp_path, tmp_path / 'run', init__freeze_upto=frozen)


def test_a_nan_loss_stops_the_run_and_names_the_step(data_dir, tmp_path):
  with pytest.raises(errors.RunError, match='not a finite number at step'):
    _run(data_dir, tmp_path / 'run', optimizer__learning_rate=1e30)
  assert checkpoint.steps(str(tmp_path / 'run' / run_folder.CHECKPOINTS))


def test_the_binaries(run_dir, data_dir, call, tmp_path):
  """train.py refuses in one line; evaluate.py agrees with result.json."""
  refused = call(
    'train.py',
    '--dataset=retina',
    '--model=vgg',
    f'--data_dir={data_dir}',
    f'--run_dir={tmp_path}/run',
  )
  assert refused.returncode == 2
  assert refused.stderr.startswith("train.py: unknown model 'vgg'")
  assert refused.stderr.count('\n') == 1
  evaluated = call('evaluate.py', f'--run_dir={run_dir}')
  assert evaluated.returncode == 0, evaluated.stderr
  value = run_folder.result(run_dir)['test']['referable']['value']
  assert f'test referable {value:.4f}' in evaluated.stdout
  assert (pathlib.Path(run_dir) / 'scores_test_best.csv').exists()


def test_config_json_is_the_experiment(run_dir, data_dir):
  saved = config.load(os.path.join(run_dir, run_folder.CONFIG))
  assert not config.differences(
    saved,
    prepared_sets.experiment(
      data_dir, train__train_steps=40, train__eval_every=10
    ),
  )


def test_pretraining_on_a_set_like_imagenet(tmp_path):
  """Classes and no test split, as TFDS prepares it."""
  examples = [
    {
      'image': example['image'],
      'image_id': example['image_id'],
      'patient_id': example['image_id'],
      'label': min(example['grade'], 2),
    }
    for example in prepared_sets.spots(24, 0)
  ]
  label = tfds.features.ClassLabel(names=['none', 'few', 'many'])
  prepared_sets.write(
    tmp_path,
    'imagenet2012',
    {'label': label},
    {'train': examples, 'validation': examples[:10]},
  )
  result = _run(
    tmp_path,
    tmp_path / 'run',
    data__dataset='imagenet2012',
    optimizer=config.IMAGENET.optimizer,
    optimizer__learning_rate=0.01,
  )
  assert result['judged_split'] == 'validation'
  assert result['num_test'] == 10
  assert 0 <= result['test']['top1']['value'] <= 1


def test_versions_name_the_commit_of_a_clone(tmp_path, monkeypatch):
  """And no other repository's, where the package is merely installed."""
  git = ['git', '-c', 'user.name=t', '-c', 'user.email=t@t', '-C', tmp_path]
  installed = tmp_path / 'site' / '__init__.py'
  cloned = tmp_path / 'transfusion_tf' / '__init__.py'
  for path in (installed, cloned):
    path.parent.mkdir()
    path.touch()
  subprocess.run([*git, 'init', '--quiet'], check=True)
  subprocess.run([*git, 'add', '.'], check=True)
  subprocess.run([*git, 'commit', '--quiet', '-mx'], check=True)
  head = subprocess.run(
    [*git, 'rev-parse', '--short', 'HEAD'], capture_output=True, text=True
  ).stdout.strip()

  def commit(path):
    monkeypatch.setattr(transfusion_tf, '__file__', str(path))
    return train_and_evaluate.versions().get('commit')

  assert head and commit(cloned) == head
  assert commit(installed / 'deeper' / '__init__.py') is None
  cloned.write_text('edited')
  assert commit(cloned) == f'{head}-dirty'

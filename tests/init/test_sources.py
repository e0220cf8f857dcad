"""Weights from everywhere they may come from, and every way that can fail."""

import json
import os

import init_cases
import keras
import numpy as np
import pytest
import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import init
from transfusion_tf import models
from transfusion_tf.init import weights
from transfusion_tf.init.sources import files
from transfusion_tf.models import graph as graph_lib
from transfusion_tf.models import state as state_lib
from transfusion_tf.train import checkpoint


def build(classes=5):
  return models.build('cbr_tiny', classes, (16, 16, 3))


@pytest.fixture(scope='module')
def model():
  """A model no two weights of which are alike."""
  model = build()
  source = init_cases.pretrained(model)
  init.apply(model, init.schemes.transfer(source), models.stages_of(model), 0)
  return model


def write_run(folder, model, steps=(0, 4, 8), judged=4, **settings):
  """A run as the training loop leaves it; the head's bias tells the step."""
  optimizer = keras.optimizers.SGD(0.1)
  optimizer.build(model.trainable_variables)
  step = tf.Variable(0, dtype=tf.int64)
  checkpoints = checkpoint.Checkpoints(
    str(folder / 'checkpoints'), model, optimizer, {'step': step}
  )
  for now in steps:
    step.assign(now)
    model.get_layer('head').bias.assign(np.full(5, now))
    checkpoints.save()
  settings = {'name': model.name, **settings}
  experiment = config.override(
    config.RETINA, {f'model.{k}': v for k, v in settings.items()}
  )
  config.save(experiment, folder / 'config.json')
  if judged is not None:
    result = {
      'headline': 'referable',
      'test': {},
      'judged_step': judged,
      'num_test': 0,
      'num_train': 0,
      'seconds': 0,
      'versions': {},
    }
    (folder / 'result.json').write_text(json.dumps(result))
  return str(folder)


def _attention():
  layers = keras.layers
  inputs = keras.Input((16, 16, 3))
  x = layers.Conv2D(8, 8, strides=8, name='patches')(inputs)
  x = layers.Reshape((-1, 8), name='tokens')(x)
  for name in ('one', 'two'):
    x = layers.Add(name=f'add_{name}')(
      [x, layers.MultiHeadAttention(2, 4, name=name)(x, x)]
    )
  x = layers.GlobalAveragePooling1D(name='pool')(x)
  return keras.Model(inputs, layers.Dense(5, name='head')(x), name='attention')


def _block_inside():
  layers = keras.layers
  block = [
    layers.Conv2D(4, 3, name='conv'),
    layers.BatchNormalization(name='bn'),
  ]
  inputs = keras.Input((16, 16, 3))
  x = keras.Sequential(block, name='block')(inputs)
  x = layers.GlobalAveragePooling2D(name='pool')(x)
  return keras.Model(inputs, layers.Dense(5, name='head')(x), name='outer')


def _nameless():
  layers = keras.layers
  return keras.Sequential(
    [
      keras.Input((16, 16, 3)),
      layers.Conv2D(4, 3),
      layers.Conv2D(4, 3),
      layers.BatchNormalization(),
      layers.Flatten(),
      layers.Dense(5),
    ]
  )


@pytest.mark.parametrize('suffix', ['.keras', '.weights.h5', '.h5'])
@pytest.mark.parametrize('net', [_attention, _block_inside, _nameless])
def test_what_keras_loads_into_the_same_network_is_taken(tmp_path, net, suffix):
  source, model = net(), net()
  path = str(tmp_path / f'file{suffix}')
  rng = np.random.default_rng(0)
  source.set_weights([rng.uniform(1, 2, w.shape) for w in source.get_weights()])
  if suffix == '.weights.h5':
    source.save_weights(path)
  else:
    source.save(path)
  before = model.get_weights()
  arrays = weights.load(path, model)
  for one, two in zip(before, model.get_weights(), strict=True):
    np.testing.assert_array_equal(one, two)  # Reading changes nothing.
  state_lib.assign(model, arrays)
  for one, two in zip(source.get_weights(), model.get_weights(), strict=True):
    np.testing.assert_array_equal(one, two)


def test_code_in_a_file_is_not_run(tmp_path):
  """Its weights are taken where they fit."""

  def net():
    layers = keras.layers
    inputs = keras.Input((16, 16, 3))
    x = layers.Lambda(lambda x: 2 * x, name='twice')(inputs)
    x = layers.Conv2D(4, 3, name='conv')(x)
    x = layers.GlobalAveragePooling2D(name='pool')(x)
    return keras.Model(inputs, layers.Dense(5, name='head')(x), name='coded')

  source, model = net(), net()
  path = str(tmp_path / 'coded.keras')
  source.save(path)
  arrays = weights.load(path, model)
  for weight in graph_lib.Graph(source).weights:
    np.testing.assert_array_equal(arrays[weight.path], weight.variable)
  with pytest.raises(errors.InputError, match='needs code that is not in it'):
    weights.load(path)


def assert_equal(source, model):
  expected = init_cases.values_of(model)
  assert set(source) == set(expected)
  assert all((source[path] == expected[path]).all() for path in expected)


def test_nothing_is_none():
  assert weights.load('') is None
  assert weights.load(None) is None


def test_a_keras_model(model):
  assert_equal(weights.load(model), model)


@pytest.mark.parametrize('suffix', ['.keras', '.weights.h5', '.npz'])
def test_files(model, tmp_path, suffix):
  path = tmp_path / f'saved{suffix}'
  if suffix == '.keras':
    model.save(path)
  elif suffix == '.npz':
    files.save_npz(str(path), init_cases.values_of(model), 'somewhere')
    assert os.listdir(tmp_path) == ['saved.npz']
  else:
    model.save_weights(path)
  source = weights.load(path, build(classes=7))
  assert str(path) in source.name
  assert_equal(source, model)


@pytest.mark.parametrize('name', ['inception_v3', 'mobilenet_v2', 'users'])
def test_weights_h5_of_other_nets(name, tmp_path):
  # Dropout's state is in none; names of weights are read off the new model.
  saved, _ = init_cases.cached(name)
  saved.save_weights(tmp_path / 'saved.weights.h5')
  new, _ = init_cases.build(name)
  assert_equal(weights.load(tmp_path / 'saved.weights.h5', new), saved)


def test_a_savers_checkpoint(model, tmp_path):
  arrays = init_cases.values_of(model)
  tf.raw_ops.SaveV2(
    prefix=str(tmp_path / 'model'),
    tensor_names=list(arrays),
    shape_and_slices=[''] * len(arrays),
    tensors=list(arrays.values()),
  )
  assert_equal(weights.load(tmp_path / 'model'), model)


@pytest.mark.parametrize(
  'which, step',
  [('', 4), ('@best', 8), ('@final', 8), ('@init', 0), ('@8', 8), ('/', 4)],
)
def test_a_run(tmp_path, which, step):
  source = weights.load(write_run(tmp_path, build()) + which)
  assert (source['head/bias'] == step).all()
  assert source.name.endswith(f'@{step}')
  assert set(source) == {w.path for w in build().weights}


def test_a_run_of_a_net_with_dropout(tmp_path):
  saved, stages = init_cases.cached('inception_v3')
  run = write_run(tmp_path, saved, steps=(0,), judged=0)
  other, _ = init_cases.build('inception_v3')
  report = init.apply(
    other, init.schemes.transfer(weights.load(run)), stages, 0
  )
  assert {row['scheme'] for row in report} == {'transfer'}


def test_the_head_of_a_run_may_differ(tmp_path):
  run = write_run(tmp_path, build())
  new = build(classes=3)
  scheme = init.schemes.transfer(weights.load(run))
  report = init.apply(new, scheme, models.stages_of(new), 0)
  assert [r['scheme'] for r in report if r['stage'] == 'head'] == ['random'] * 2
  assert all(r['source'] in (None, f'{run}@4') for r in report)


def test_keras_applications_get_our_names():
  theirs = keras.applications.ResNet50(weights=None, classes=4)
  ours = models.build('resnet50', 4, (64, 64, 3), stride_in='first')
  assert set(weights.load(theirs, ours)) == {w.path for w in ours.weights}
  # Between two of their own nets no name changes.
  assert set(weights.load(theirs, theirs)) == {w.path for w in theirs.weights}


def test_keras_weights_need_their_geometry():
  theirs = keras.applications.ResNet50(weights=None, classes=4)
  ours = models.build('resnet50', 4, (64, 64, 3))
  with pytest.raises(errors.InputError, match="stride_in='first'"):
    weights.load(theirs, ours)
  with pytest.raises(errors.InputError, match="stride_in='first'"):
    weights.load('imagenet', ours)


# Bad input.


def refuses(words, source, like=None):
  with pytest.raises(errors.InputError, match=words) as caught:
    weights.load(source, like)
  assert '\n' not in str(caught.value).strip()


def test_what_is_not_there(tmp_path):
  refuses('no such .*neither a run folder nor a weights', tmp_path / 'nothing')
  refuses('neither a run folder', tmp_path)
  for suffix in ('.keras', '.weights.h5', '.npz', '.ckpt'):
    refuses('no such file', tmp_path / f'nothing{suffix}', build())


@pytest.mark.parametrize('suffix', ['.keras', '.weights.h5', '.npz'])
@pytest.mark.parametrize('share', [0, 0.5, 0.99])
def test_cut_files(model, tmp_path, suffix, share):
  path = tmp_path / f'cut{suffix}'
  if suffix == '.npz':
    files.save_npz(str(path), init_cases.values_of(model), '')
  else:
    (model.save if suffix == '.keras' else model.save_weights)(path)
  content = path.read_bytes()
  path.write_bytes(content[: int(share * len(content))])
  refuses(f'cut{suffix}: damaged', path, build())


@pytest.mark.parametrize('suffix', ['.keras', '.weights.h5', '.npz', '.ckpt'])
def test_files_of_another_format(tmp_path, suffix):
  path = tmp_path / f'text{suffix}'
  path.write_text('these are no weights\n')
  refuses('damaged', path, build())


_WAY_OUT = r'save the model as \.keras, or name a function .*module:function'


@pytest.mark.parametrize(
  ('name', 'kind'),
  [
    ('resnet50.pth', 'weights of PyTorch'),
    ('model.PT', 'weights of PyTorch'),
    ('model.safetensors', 'safetensors'),
    ('model.onnx', 'ONNX'),
    ('frozen.pb', 'graph of TensorFlow'),
  ],
)
def test_files_of_other_programs_are_named_with_a_way_out(tmp_path, name, kind):
  (tmp_path / name).touch()
  refuses(f'{name}: .*{kind}.*{_WAY_OUT}', tmp_path / name)


@pytest.mark.parametrize(
  ('name', 'content', 'words'),
  [
    ('a.weights.h5', b'', 'it is empty; download'),
    (
      'a.h5',
      b'PK\x03\x04data.pkl',
      f'a zip, as weights of PyTorch.*{_WAY_OUT}',
    ),
    (
      'a.ckpt',
      b'PK\x03\x04data.pkl',
      f'a zip, as weights of PyTorch.*{_WAY_OUT}',
    ),
    ('a.keras', b'\x89HDF\r\n\x1a\n' + bytes(99), r'HDF5 file; .* \.h5'),
    ('a.h5', b'version https://git-lfs.github.com/spec/v1', 'git lfs pull'),
    ('a.keras', b'<!DOCTYPE html><html>404</html>', 'a web page; download'),
    ('a.h5', bytes(999), f'damaged or of another format: .*{_WAY_OUT}'),
  ],
)
def test_files_that_are_not_what_they_are_called(
  tmp_path, name, content, words
):
  (tmp_path / name).write_bytes(content)
  refuses(words, tmp_path / name, build())


def test_folders_that_are_no_run(model, tmp_path):
  model.export(tmp_path / 'export', verbose=False)
  refuses(f'export: a SavedModel.*{_WAY_OUT}', tmp_path / 'export')
  model.save(tmp_path / 'export' / 'model.keras')
  refuses('export; name its model.keras: .*/model.keras', tmp_path / 'export')
  assert_equal(weights.load(tmp_path / 'export' / 'model.keras'), model)
  refuses('a folder without config.json', tmp_path)


def test_flipped_bits_in_a_npz(model, tmp_path):
  path = tmp_path / 'flipped.npz'
  files.save_npz(str(path), init_cases.values_of(model), '')
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 0xFF
  path.write_bytes(content)
  refuses('flipped.npz: damaged', path)


def test_weights_h5_needs_the_model(model, tmp_path):
  path = tmp_path / 'saved.weights.h5'
  model.save_weights(path)
  refuses('depends on the model', path)


def test_cut_checkpoint_of_a_run(tmp_path):
  run = write_run(tmp_path, build())
  data = tmp_path / 'checkpoints/step-00000004/checkpoint.data-00000-of-00001'
  data.write_bytes(data.read_bytes()[:1000])
  refuses('unreadable checkpoint', run)


def test_runs(tmp_path):
  run = write_run(tmp_path, build(), judged=None)
  refuses(f'not finished.*{tmp_path.name}@final', run)
  refuses('no checkpoint of step 5', f'{run}@5')
  refuses("unknown checkpoint 'finall'; did you mean 'final'", f'{run}@finall')


def test_a_run_of_the_other_geometry(tmp_path):
  saved, _ = init_cases.cached('resnet50')
  run = write_run(tmp_path, saved, (0,), judged=0, slim_from='block2')
  other = models.build(
    'resnet50', 5, (64, 64, 3), stride_in='first', slim_from='block2'
  )
  refuses('stride_in=last, the new net stride_in=first', run, other)
  assert weights.load(run, saved) is not None


def test_checkpoints_without_names(model, tmp_path):
  prefix = tf.train.Checkpoint(model=model).write(str(tmp_path / 'objects'))
  refuses('name the run', prefix)
  tf.raw_ops.SaveV2(
    prefix=str(tmp_path / 'slim'),
    tensor_names=['InceptionV3/Conv2d_1a_3x3/weights'],
    shape_and_slices=[''],
    tensors=[np.zeros(3)],
  )
  refuses('import_slim.py', tmp_path / 'slim')


def test_imagenet_is_for_two_nets(model):
  refuses('resnet50 and inception_v3, not for cbr_tiny', 'imagenet', model)
  refuses('not for no model', 'imagenet')

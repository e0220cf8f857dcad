"""A Keras model of one's own: built by name, trained, transferred, refused."""

import sys
import textwrap

import keras
import numpy as np
import prepared_sets
import pytest
import runs

from transfusion_tf import errors
from transfusion_tf import init
from transfusion_tf import models
from transfusion_tf.analysis import compare_runs
from transfusion_tf.analysis import endpoints
from transfusion_tf.run import build as run_lib
from transfusion_tf.run import train_and_evaluate

_MODULE = """
  import keras
  from keras import layers

  def _trunk(input_shape, name):
    return keras.Sequential([
      keras.Input(input_shape),
      layers.Conv2D(8, 3, strides=2, name='first'),
      layers.BatchNormalization(name='first_norm'),
      layers.ReLU(name='first_relu'),
      layers.Conv2D(16, 3, strides=2, activation='relu', name='second'),
      layers.GlobalMaxPooling2D(name='pool'),
    ], name=name)

  def plain(num_classes, input_shape):
    model = _trunk(input_shape, 'plain')
    model.add(layers.Dense(num_classes, name='logits'))
    return model

  def staged(num_classes, input_shape):
    model = _trunk(input_shape, 'staged')
    model.add(layers.Dense(num_classes, name='logits'))
    return model, {'conv1': 'first', 'conv2': 'second', 'head': 'logits'}

  def application(num_classes, input_shape):
    return keras.applications.MobileNetV2(
      input_shape, alpha=0.35, weights=None, classes=num_classes,
      classifier_activation=None)

  def residual(num_classes, input_shape):
    inputs = keras.Input(input_shape)
    x = layers.Conv2D(8, 3, strides=2, name='stem')(inputs)
    for block in ('block1', 'block2'):
      y = layers.Conv2D(8, 3, padding='same', name=block)(x)
      x += layers.Dropout(0.5)(y)
    x = layers.GlobalMaxPooling2D()(layers.Activation('relu')(x))
    model = keras.Model(inputs, layers.Dense(num_classes, name='logits')(x))
    return model, {
      'stem': 'stem', 'block1': 'block1', 'block2': 'block2', 'head': 'logits'}

  def nameless(num_classes, input_shape):
    return keras.Sequential([
      keras.Input(input_shape), layers.Conv2D(4, 3, strides=4),
      layers.BatchNormalization(), layers.Conv2D(4, 3, strides=4),
      layers.Flatten(), layers.Dense(num_classes)])

  def pretrained():
    return plain(3, (32, 32, 3))

  def softmax(num_classes, input_shape):
    model = _trunk(input_shape, 'softmax')
    model.add(layers.Dense(num_classes, activation='softmax'))
    return model

  def two_layers_softmax(num_classes, input_shape):
    model = _trunk(input_shape, 'softmax2')
    model.add(layers.Dense(num_classes))
    model.add(layers.Softmax())
    return model

  def no_pooling(num_classes, input_shape):
    return keras.Sequential([
      keras.Input(input_shape), layers.Conv2D(num_classes, 1)])

  def headless(num_classes, input_shape):
    return plain(num_classes, input_shape), {'all': '.*'}

  def gap(num_classes, input_shape):
    return plain(num_classes, input_shape), {'conv1': 'first', 'head': 'logits'}

  def taken(num_classes, input_shape):
    model = _trunk(input_shape, 'resnet50')
    model.add(layers.Dense(num_classes))
    return model

  class Subclassed(keras.Model):
    pass

  def subclassed(num_classes, input_shape):
    return Subclassed()

  def nothing(num_classes, input_shape):
    pass
"""


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
  """`own_nets` in the present folder."""
  (tmp_path / 'own_nets.py').write_text(textwrap.dedent(_MODULE))
  (tmp_path / 'needy.py').write_text('import not_installed_anywhere')
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(sys, 'path', list(sys.path))
  yield
  sys.modules.pop('own_nets', None)


def _build(name, num_classes=5):
  return models.build(f'own_nets:{name}', num_classes, (32, 32, 3))


@pytest.mark.parametrize(
  ('name', 'expected'),
  [
    ('plain', ('body', 'head')),
    ('staged', ('conv1', 'conv2', 'head')),
    ('application', ('body', 'head')),
  ],
)
def test_each_weight_has_a_stage(name, expected):
  model = _build(name)
  stages = models.stages_of(model)
  assert stages.names == expected
  for weight in model.weights:
    assert (
      stages.stage_of(weight.path.removeprefix(f'{model.name}/')) in expected
    )


def test_all_of_training_works(data_dir, tmp_path):
  """Train, transfer up to a stage, load again, compare."""
  first, second = str(tmp_path / 'a'), str(tmp_path / 'b')
  own = {'model__name': 'own_nets:staged', 'model__bn_momentum': 0.8}
  train_and_evaluate.run(prepared_sets.experiment(data_dir, **own), first)
  transferred = prepared_sets.experiment(
    data_dir,
    **own,
    seed=1,
    init__scheme='transfer',
    init__pretrained=f'{first}@final',
    init__upto='conv1',
  )
  train_and_evaluate.run(transferred, second)
  last, start = runs.state(tmp_path / 'a'), runs.state(tmp_path / 'b', 0)
  same = {
    n: (last[n] == start[n]).all()
    for n in start
    if n.endswith('kernel/.ATTRIBUTES/VARIABLE_VALUE') and n.startswith('model')
  }
  assert [same[n] for n in sorted(same)] == [True, False, False]
  loaded = run_lib.load_run(second, 'best')
  assert loaded.model.get_layer('first_norm').momentum == 0.8
  found = compare_runs.compare([(f'{second}@init', second)])
  (layers,) = found.values()
  assert list(layers) == ['conv1', 'conv2']


def test_layers_without_names_are_found_again(data_dir, tmp_path):
  """In a process that has built other models before."""
  run_dir = str(tmp_path / 'run')
  own = {'model__name': 'own_nets:nameless', 'train__train_steps': 3}
  train_and_evaluate.run(prepared_sets.experiment(data_dir, **own), run_dir)
  first = run_lib.load_run(run_dir)
  second = run_lib.load_run(run_dir)
  assert [w.path for w in first.model.weights] == [
    w.path for w in second.model.weights
  ]
  for one, two in zip(first.model.weights, second.model.weights, strict=True):
    np.testing.assert_array_equal(one, two)


def test_weights_come_from_a_function():
  source = init.weights.load('own_nets:pretrained', _build('plain'))
  model = _build('plain')
  stages = models.stages_of(model)
  init.apply(model, init.schemes.transfer(source), stages, seed=0)
  np.testing.assert_array_equal(
    model.get_layer('first').kernel, source['first/kernel']
  )
  assert model.get_layer('logits').kernel.shape == (16, 5)  # Not the 3 of it.


@pytest.mark.parametrize(
  ('name', 'message'),
  [
    ('own_nets:plian', "did you mean 'plain'"),
    ('own_net:plain', 'no module own_net; start from the folder'),
    ('own_nets:softmax', 'ends with softmax; must return logits'),
    ('own_nets:two_layers_softmax', 'ends with softmax'),
    ('own_nets:no_pooling', r'must be \(None, 5\)'),
    ('own_nets:headless', "its last stage is 'all'"),
    ('own_nets:gap', 'second/kernel belongs to no stage'),
    ('own_nets:taken', "'resnet50', like one of ours"),
    ('own_nets:subclassed', 'subclassed'),
    ('own_nets:nothing', 'NoneType, not a keras.Model'),
  ],
)
def test_what_cannot_be_used_is_refused_in_one_line(name, message):
  with pytest.raises(errors.InputError, match=message) as caught:
    models.build(name, 5, (32, 32, 3))
  assert '\n' not in str(caught.value)


def test_a_stage_ends_with_the_sum_of_its_residual_block():
  """The operator's name is Keras', and no pattern takes it."""
  model = _build('residual')
  extract = endpoints.Extractor(model, ['stem', 'block1', 'block2'])
  images = np.random.default_rng(0).normal(size=(2, 32, 32, 3))
  found = extract(images.astype(np.float32))
  for before, block in (('stem', 'block1'), ('block1', 'block2')):
    expected = found[before] + model.get_layer(block)(found[before])
    np.testing.assert_allclose(found[block], expected, rtol=1e-5)


def test_options_of_our_networks_are_refused():
  for option in ({'slim_from': 'conv1'}, {'stride_in': 'first'}):
    with pytest.raises(errors.InputError, match='own_nets:plain'):
      models.build('own_nets:plain', 5, (32, 32, 3), **option)


def test_what_the_module_lacks_is_its_own_error():
  with pytest.raises(ModuleNotFoundError, match='not_installed_anywhere'):
    models.build('needy:net', 5, (32, 32, 3))


def test_a_model_without_stages_of_ours_is_named():
  with pytest.raises(errors.InputError, match='from_patterns'):
    models.stages_of(keras.Sequential([keras.Input((4,))], name='mine'))

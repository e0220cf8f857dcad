"""What is read off a network's graph: roles, paths, order, boundaries."""

import re

import keras
from keras import layers
import numpy as np
import pytest
import tensorflow as tf

from transfusion_tf import errors
from transfusion_tf import init
from transfusion_tf.analysis import endpoints
from transfusion_tf.init import schemes
from transfusion_tf.models import fingerprint
from transfusion_tf.models import graph as graph_lib
from transfusion_tf.models import initializers
from transfusion_tf.models import stages as stages_lib
from transfusion_tf.models import state as state_lib

_SHAPE = (16, 16, 3)


class _Block(layers.Layer):
  """A convolution with batch norm, of which Keras sees one layer."""

  def __init__(self, filters, **kwargs):
    super().__init__(**kwargs)
    self.conv = layers.Conv2D(filters, 3, padding='same', name='conv')
    self.bn = layers.BatchNormalization(name='bn')

  def build(self, shape):
    self.conv.build(shape)
    self.bn.build((*shape[:-1], self.conv.filters))
    self.scale = self.add_weight(
      shape=(self.conv.filters,), initializer='ones', name='scale'
    )
    self.calls = self.add_weight(
      shape=(), initializer='zeros', trainable=False, name='calls'
    )

  def call(self, x, training=False):
    if training:
      self.calls.assign_add(1.0)
    return self.bn(self.conv(x), training=training) * self.scale


def _end(x, classes=5):
  x = layers.GlobalAveragePooling2D(name='pool')(x)
  return layers.Dense(classes, name='head')(x)


def _model(*between, name='net'):
  x = inputs = keras.Input(_SHAPE)
  for layer in between:
    x = layer(x)
  return keras.Model(inputs, _end(x), name=name)


def _roles(model):
  return {w.path: w.role for w in graph_lib.Graph(model).weights}


def test_each_weight_has_a_role():
  model = _model(
    layers.Normalization(name='norm'),
    layers.SpectralNormalization(layers.Conv2D(4, 3, name='c'), name='sn'),
    _Block(4, name='block'),
    layers.RMSNormalization(name='rms'),
    layers.Reshape((-1, 4), name='tokens'),
    layers.LSTM(4, return_sequences=True, name='lstm'),
    layers.Reshape((14, 14, 4), name='map'),
  )
  assert _roles(model) == {
    'norm/mean': 'state',
    'norm/variance': 'state',
    'norm/count': 'state',
    'sn/c/kernel': 'kernel',
    'sn/c/bias': 'bias',
    'sn/vector_u': 'state',
    'block/conv/kernel': 'kernel',
    'block/conv/bias': 'bias',
    'block/bn/gamma': 'bn',
    'block/bn/beta': 'bn',
    'block/bn/moving_mean': 'bn',
    'block/bn/moving_variance': 'bn',
    'block/scale': 'kernel',
    'block/calls': 'state',
    'rms/scale': 'bn',
    'lstm/lstm_cell/kernel': 'kernel',
    'lstm/lstm_cell/recurrent_kernel': 'kernel',
    'lstm/lstm_cell/bias': 'bias',
    'head/kernel': 'kernel',
    'head/bias': 'bias',
  }
  model.trainable = False  # No role is another in a frozen network.
  assert _roles(model)['head/kernel'] == 'kernel'


def test_layers_of_one_name_in_two_models_have_two_paths():
  def trunk(name):
    inputs = keras.Input(_SHAPE)
    x = layers.Conv2D(4, 3, padding='same', name='conv')(inputs)
    return keras.Model(inputs, x, name=name)

  inputs = keras.Input(_SHAPE)
  x = layers.Add()([trunk('left')(inputs), trunk('right')(inputs)])
  model = keras.Model(inputs, _end(x))
  assert [w.path for w in graph_lib.Graph(model).weights] == [
    *('left/conv/kernel', 'left/conv/bias'),
    *('right/conv/kernel', 'right/conv/bias'),
    *('head/kernel', 'head/bias'),
  ]


def test_a_model_may_be_called_like_its_head():
  model = _model(layers.Conv2D(4, 3, name='c1'), name='head')
  assert 'head/kernel' in _roles(model)


@pytest.mark.parametrize('repeat', ['1', '12'])
def test_a_stage_that_comes_after_a_later_one_is_refused(repeat):
  names = ['conv1', 'conv2', f'conv{repeat}x']
  model = _model(*(layers.Conv2D(4, 3, name=name) for name in names))
  patterns = {'conv1': 'conv1', 'conv2': 'conv2', 'head': 'head'}
  with pytest.raises(
    errors.InputError,
    match=f"'conv1' takes conv1, conv{repeat}x, but conv{repeat}x comes after "
    "conv2 of the later stage 'conv2'",
  ):
    stages_lib.Stages.from_patterns(patterns, model)


def _endpoints(patterns, model):
  stages = stages_lib.Stages.from_patterns(patterns, model)
  return {stage.name: stage.endpoint for stage in stages}


def test_a_stage_ends_where_its_branches_meet():
  inputs = keras.Input(_SHAPE)
  branches = [
    layers.Conv2D(4, 3, name=name)(inputs) for name in ('left', 'right')
  ]
  model = keras.Model(inputs, _end(layers.Concatenate(name='both')(branches)))
  found = _endpoints({'body': 'left|right', 'head': 'head'}, model)
  assert found == {'body': 'both', 'head': 'head'}


def test_a_stage_ends_before_what_needs_a_later_one():
  inputs = keras.Input(_SHAPE)
  x = layers.Conv2D(4, 3, name='conv.a')(inputs)
  x = layers.Conv2D(5, 1, name='head')(layers.GlobalMaxPooling2D(
    keepdims=True, name='conv.pool')(x))  # fmt: skip
  model = keras.Model(inputs, layers.Flatten(name='conv.flat')(x))
  found = _endpoints({'conv': 'conv', 'head': 'head'}, model)
  assert found == {'conv': 'conv.pool', 'head': 'head'}


def test_a_stage_in_a_model_inside_is_read_there():
  inputs = keras.Input(_SHAPE)
  x = layers.Conv2D(4, 3, name='c1')(inputs)
  x = layers.Conv2D(8, 3, activation='relu', name='c2')(x)
  trunk = keras.Model(inputs, x, name='trunk')
  outer = keras.Input(_SHAPE)
  model = keras.Model(outer, _end(trunk(outer)))
  found = _endpoints({'c1': 'trunk/c1', 'rest': 'c2', 'head': 'head'}, model)
  assert found == {'c1': 'trunk/c1', 'rest': 'trunk/c2', 'head': 'head'}
  images = np.random.default_rng(0).normal(size=(2, *_SHAPE))
  read = endpoints.Extractor(model, ['trunk/c1', 'c2', 'trunk', 'head'])(images)
  np.testing.assert_array_equal(read['trunk'], trunk(images))
  np.testing.assert_array_equal(read['c2'], read['trunk'])
  np.testing.assert_array_equal(read['head'], model(images))
  assert read['trunk/c1'].shape == (2, 14, 14, 4)


def test_a_layer_used_twice_is_read_at_its_last_use():
  twice = layers.Conv2D(3, 3, padding='same', activation='relu', name='twice')
  model = _model(twice, twice)
  images = np.random.default_rng(0).normal(size=(2, *_SHAPE))
  read = endpoints.Extractor(model, ['twice'])(images)['twice']
  np.testing.assert_allclose(read, twice(twice(images)), atol=1e-6)


def test_a_stage_inside_a_layer_cannot_be_read():
  model = _model(_Block(4, name='block'))
  patterns = {'conv': 'block/conv', 'rest': 'block/(?!c)', 'head': 'head'}
  patterns['rest'] += '|block/calls'
  assert _endpoints(patterns, model)['conv'] == ''


def test_what_a_training_step_assigns_is_found_in_any_layer():
  model = _model(
    keras.Sequential([layers.BatchNormalization(name='bn')], name='inside'),
    layers.Normalization(name='norm'),
    _Block(4, name='block'),
  )
  path = graph_lib.Graph(model).path
  assert [path(v) for v in state_lib.assigned_in_training(model)] == [
    *('inside/bn/moving_mean', 'inside/bn/moving_variance'),
    *('block/calls', 'block/bn/moving_mean', 'block/bn/moving_variance'),
  ]
  assert not any(np.asarray(w).any() for w in model.get_layer('norm').weights
                 if w.name == 'count')  # fmt: skip


def test_nodes_between_frozen_ones_are_frozen():
  model = _model(
    layers.RandomFlip(name='flip'),
    layers.Conv2D(4, 3, name='c1'),
    layers.Dropout(0.5, name='inside'),
    layers.Conv2D(4, 3, name='c2'),
    layers.Dropout(0.5, name='after'),
  )
  graph = graph_lib.Graph(model)
  ends = [graph.find('c1'), graph.find('c2')]
  inside = {graph.nodes[n].name for n in graph.between(ends)}
  assert inside == {'c1', 'inside', 'c2'}


def test_weights_are_drawn_by_the_initializer_that_the_layer_gave_them():
  class Scaled(layers.Layer):
    def build(self, shape):
      self.gamma = self.add_weight(
        shape=(shape[-1],),
        initializer=keras.initializers.Constant(1e-6),
        name='gamma',
      )
      self.noise = self.add_weight(
        shape=(64, 64), initializer='he_normal', name='noise'
      )

    def call(self, x):
      return x * self.gamma

  with initializers.recorded():
    model = _model(
      Scaled(name='scaled'),
      layers.Reshape((-1, 3)),
      layers.LSTM(4, return_sequences=True, name='lstm'),
      layers.Reshape((16, 16, 4)),
    )
  stages = stages_lib.Stages.from_patterns(
    {'body': 'scaled|lstm', 'head': 'head'}, model
  )
  drawn = []
  for seed in (0, 0, 1):
    init.apply(model, schemes.random(), stages, seed)
    drawn.append(np.asarray(model.get_layer('scaled').noise))
  np.testing.assert_array_equal(drawn[0], drawn[1])
  assert (drawn[0] != drawn[2]).mean() > 0.99
  assert drawn[0].std() == pytest.approx((2 / 64) ** 0.5, rel=0.1)
  np.testing.assert_allclose(model.get_layer('scaled').gamma, 1e-6)
  bias = np.asarray(model.get_layer('lstm').cell.bias)
  np.testing.assert_array_equal(bias, np.repeat([0, 1, 0, 0], 4))


def test_assigned_statistics_of_the_input_count():
  source = _model(layers.Normalization(name='norm'))
  rng = np.random.default_rng(0)
  source.get_layer('norm').adapt(rng.normal(3, 7, (64, *_SHAPE)))
  model = _model(layers.Normalization(name='norm'))
  state_lib.assign(model, source.get_weights())
  images = rng.normal(3, 7, (4, *_SHAPE)).astype(np.float32)
  np.testing.assert_allclose(model(images), source(images), atol=1e-5)


def test_activations_with_given_weights_use_their_statistics():
  """As the networks of one comparison, which share a model."""
  rng = np.random.default_rng(0)
  images = tf.constant(rng.normal(3, 7, (4, *_SHAPE)), tf.float32)
  model = _model(layers.Normalization(name='norm'))
  sources = [_model(layers.Normalization(name='norm')) for _ in range(2)]
  networks = {}
  for number, source in enumerate(sources):
    source.get_layer('norm').adapt(rng.normal(number, 7, (64, *_SHAPE)))
    weights = [tf.constant(w) for w in source.get_weights()]
    networks[str(number)] = endpoints.PreparedModel(model, weights=weights)
  found = endpoints.make_source(networks, [images], ['head']).forward(images)
  for acts, source in zip(found[0], sources, strict=True):
    np.testing.assert_allclose(acts, source(images), atol=1e-5)
  before = model(images)  # And the model is left as it was.
  np.testing.assert_array_equal(before, model(images))


def _conv(**kwargs):
  return layers.Conv2D(4, 3, name='c1', **kwargs)


@pytest.mark.parametrize(
  ('changed', 'words'),
  [
    ([_conv(), layers.ReLU(name='relu')], r'now has relu \(ReLU\)'),
    ([], r'no longer has c1 \(Conv2D\)'),
    ([_conv(activation='relu')], 'c1 has activation relu, had linear'),
    ([_conv(strides=2)], r'c1 has strides \[2, 2\], had \[1, 1\]'),
  ],
)
def test_a_changed_network_is_told_by_its_fingerprint(changed, words):
  trained, again, other = (
    fingerprint.describe(_model(*layers_of))
    for layers_of in ([_conv()], [_conv()], changed)
  )
  assert not fingerprint.differences(trained, again)
  found = fingerprint.differences(trained, other)
  assert re.search(words, found)

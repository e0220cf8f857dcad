"""Strictness, composition, configs, Gabor filters and freezing."""

import dataclasses
import json

import init_cases
import keras
import numpy as np
import paths
import pytest

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import init
from transfusion_tf import models
from transfusion_tf.init import compose
from transfusion_tf.init import gabor
from transfusion_tf.init import schemes
from transfusion_tf.init import types
from transfusion_tf.models import stages as stages_lib

VECTORS = paths.TESTS / 'vectors'


@pytest.fixture
def tiny():
  model = models.build('cbr_tiny', 5, (16, 16, 3))
  return model, models.stages_of(model), init_cases.pretrained(model)


# Strictness.


@pytest.mark.parametrize(
  'change, words',
  [
    (lambda s: s.pop('conv2/kernel'), 'missing: conv2/kernel'),
    (
      lambda s: s.update({'conv3/kernel': np.ones((3, 3, 64, 128))}),
      r'another shape: conv3/kernel: \(3, 3, 64, 128\) in the source, '
      r'\(5, 5, 64, 128\) in the model',
    ),
    (
      lambda s: s.update({'conv2.bias/bias': np.ones(3)}),
      'not in cbr_tiny: conv2.bias/bias',
    ),
    (
      lambda s: s.update({'conv9/kernel': np.ones(3)}),
      'not in cbr_tiny: conv9/kernel',
    ),
    (
      lambda s: s['conv4.bn/gamma'].fill(np.nan),
      r'conv4.bn/gamma \(256,\): NaN or infinity in the source',
    ),
  ],
)
@pytest.mark.parametrize('scheme', [schemes.transfer, schemes.shuffled])
def test_a_source_that_does_not_fit_changes_nothing(
  tiny, scheme, change, words
):
  model, stages, source = tiny
  before = init_cases.values_of(model)
  change(source)
  with pytest.raises(errors.InputError, match=words) as caught:
    init.apply(model, scheme(source), stages, 0)
  assert '\n' not in str(caught.value)
  after = init_cases.values_of(model)
  assert all((after[path] == before[path]).all() for path in before)


def test_both_sides_are_listed(tiny):
  model, stages, source = tiny
  source['conv2/weights'] = source.pop('conv2/kernel')
  words = 'missing: conv2/kernel; not in cbr_tiny: conv2/weights'
  with pytest.raises(errors.InputError, match=words):
    init.apply(model, schemes.transfer(source), stages, 0)


def test_only_what_is_read_must_fit(tiny):
  model, stages, source = tiny
  source['conv4/kernel'] = np.full((1, 1), np.nan)
  source['conv9/kernel'] = np.ones(1)
  scheme = compose.up_to(stages, 'conv3', schemes.transfer(source))
  report = init.apply(model, scheme, stages, 0)
  assert {r['scheme'] for r in report if r['stage'] == 'conv4'} == {'random'}


def test_the_head_may_differ(tiny):
  model, stages, _ = tiny
  source = init.weights.load(models.build('cbr_tiny', 10, (16, 16, 3)))
  report = init.apply(model, schemes.transfer(source), stages, 0)
  for row in report:
    in_head = row['stage'] == 'head'
    assert row['scheme'] == ('random' if in_head else 'transfer')
    assert ('model cbr_tiny' in row['note']) == in_head


def test_a_scheme_of_ones_own_is_checked(tiny):
  model, stages, _ = tiny
  short = types.InitialValue(np.ones(3), 'short')
  with pytest.raises(errors.InputError, match=r'short gives \(3,\)'):
    init.apply(model, lambda weight: short, stages, 0)


def test_a_layer_without_initializer_is_not_guessed():
  @keras.saving.register_keras_serializable('test')
  class Scale(keras.layers.Layer):
    def build(self, shape):
      self.factor = self.add_weight(name='factor', shape=(shape[-1],))

    def call(self, x):
      return x * self.factor

  inputs = keras.Input((4,))
  model = keras.Model(inputs, Scale(name='scale')(inputs))
  stages = stages_lib.Stages.from_patterns(
    stages_lib.prefix_patterns(['scale']), model
  )
  with pytest.raises(errors.InputError, match=r'scale/factor: .*keep'):
    init.apply(model, schemes.random(), stages, 0)
  assert init.apply(model, schemes.keep(), stages, 0)[0]['scheme'] == 'keep'


def test_input_statistics_are_never_drawn():
  inputs = keras.Input((4,))
  normalize = keras.layers.Normalization(name='normalize')
  normalize.adapt(np.arange(8.0).reshape(2, 4))
  x = keras.layers.Dense(2, name='head')(normalize(inputs))
  model = keras.Model(inputs, x)
  stages = stages_lib.Stages.from_patterns(
    stages_lib.prefix_patterns(['normalize', 'head']), model
  )
  source = init.weights.load(model)
  for scheme in (schemes.random(), schemes.mean_var(source)):
    init.apply(model, scheme, stages, 0)
    assert (np.array(normalize.mean) == [2, 3, 4, 5]).all()


def test_negative_seed(tiny):
  model, stages, _ = tiny
  with pytest.raises(errors.InputError, match='seed'):
    init.apply(model, schemes.random(), stages, -1)


# Composition and configs.


def test_names_of_parts_are_checked(tiny):
  _, stages, _ = tiny
  keep = schemes.keep()
  with pytest.raises(errors.InputError, match="did you mean 'conv1'"):
    compose.by_stage(stages, {'conv_1': keep}, default=keep)
  with pytest.raises(errors.InputError, match="did you mean 'kernel'"):
    compose.by_role(keep, kernels=keep)
  with pytest.raises(errors.InputError, match='block1'):
    compose.up_to(stages, 'block1', keep)


def settle(tiny, slim_from='', source=True, **settings):
  """stage -> the schemes of its kernels and of its batch norm."""
  model, stages, arrays = tiny
  scheme = compose.from_config(
    config.Init(**settings), arrays if source else None, stages, slim_from
  )
  report = init.apply(model, scheme, stages, 0)
  return {
    stage: tuple(
      {
        r['scheme']: 0
        for r in report
        if (r['stage'], r['role']) == (stage, role)
      }
      for role in ('kernel', 'bn')
    )
    for stage in stages.names
  }


def said(kernel, bn):
  return ({kernel: 0}, {bn: 0})


@pytest.mark.parametrize(
  'settings, conv1, conv3',
  [
    ({'source': False}, ('random', 'identity'), ('random', 'identity')),
    ({'scheme': 'transfer'}, ('transfer',) * 2, ('transfer',) * 2),
    (
      {'scheme': 'mean_var'},
      ('mean_var', 'identity'),
      ('mean_var', 'identity'),
    ),
    (
      {'scheme': 'sampling', 'bn_init': 'transfer', 'upto': 'conv2'},
      ('sampling', 'transfer'),
      ('random', 'random'),
    ),
    (
      {'scheme': 'shuffled', 'bn_init': 'mean_var'},
      ('shuffled', 'mean_var'),
      ('shuffled', 'mean_var'),
    ),
    (
      {'scheme': 'transfer', 'slim_from': 'conv3'},
      ('transfer',) * 2,
      ('random',) * 2,
    ),
    (
      {'conv1': 'transfer'},
      ('transfer',) * 2,
      ('random', 'identity'),
    ),
    ({'conv1': 'gabor'}, ('gabor', 'random'), ('random', 'identity')),
    (
      {'conv1': 'gabor', 'source': False},
      ('gabor', 'random'),
      ('random', 'identity'),
    ),
    (
      {'scheme': 'mean_var', 'conv1': 'random'},
      ('random',) * 2,
      ('mean_var', 'identity'),
    ),
  ],
)
def test_from_config(tiny, settings, conv1, conv3):
  found = settle(tiny, **settings)
  assert found['conv1'] == said(*conv1)
  assert found['conv3'] == said(*conv3)
  assert found['head'][0] == {'random': 0}


def test_upto_head_takes_the_head_too(tiny):
  assert settle(tiny, scheme='transfer', upto='head')['head'][0] == {
    'transfer': 0
  }


def test_upto_head_refuses_a_head_that_does_not_fit(tiny):
  model, stages, source = tiny
  wider = source | {'head/kernel': np.ones((512, 6)), 'head/bias': np.ones(6)}
  scheme = init.from_config(
    config.Init(scheme='transfer', upto='head'), wider, stages
  )
  before = init_cases.values_of(model)
  with pytest.raises(errors.InputError, match=r'upto=head: head/.*6'):
    init.apply(model, scheme, stages, seed=0)
  after = init_cases.values_of(model)
  assert all((after[path] == before[path]).all() for path in before)


@pytest.mark.parametrize(
  'settings, words',
  [
    ({'scheme': 'tranfer'}, "did you mean 'transfer'"),
    ({'scheme': 'transfer', 'bn_init': 'identety'}, "'identity'"),
    ({'conv1': 'garbor'}, "'gabor'"),
    ({'scheme': 'transfer', 'upto': 'conv5'}, "unknown stage 'conv5'"),
    ({'scheme': 'transfer', 'source': False}, 'init=transfer needs weights'),
    ({'conv1': 'transfer', 'source': False}, 'conv1=transfer needs weights'),
    ({'bn_init': 'mean_var', 'source': False}, 'bn_init=mean_var needs'),
    ({}, 'uses no pretrained weights'),
    ({'scheme': 'transfer', 'bn_init': 'mean_var'}, 'does not go with'),
    (
      {'scheme': 'transfer', 'upto': 'conv3', 'slim_from': 'conv2'},
      'upto=conv3 reaches into the half-width stages',
    ),
  ],
)
def test_from_config_refuses(tiny, settings, words):
  with pytest.raises(errors.InputError, match=words):
    settle(tiny, **settings)


@pytest.mark.parametrize(
  'name, slim_from', [('resnet50', 'block3'), ('cbr_large_w', 'conv3')]
)
def test_slim_hybrid_transfers_below_and_is_random_above(name, slim_from):
  full = models.build(name, 5, (75, 75, 3))
  source = init_cases.pretrained(full)
  model = models.build(name, 5, (75, 75, 3), slim_from=slim_from)
  stages = models.stages_of(model)
  scheme = compose.from_config(
    config.Init('transfer'), source, stages, slim_from
  )
  report = init.apply(model, scheme, stages, 0)
  values = init_cases.values_of(model)
  below = stages.up_to(slim_from)[:-1]
  for row in report:
    transferred = row['stage'] in below
    assert row['scheme'] == ('transfer' if transferred else 'random')
    if transferred:
      assert (values[row['path']] == source[row['path']]).all()


# Gabor filters.


def test_bank_equals_the_papers_snippet():
  with open(VECTORS / 'gabor.json') as file:
    expected = json.load(file)
  assert gabor.bank().shape == (64, 7, 7)
  assert np.abs(gabor.bank() - np.array(expected['kernels'])).max() < 1e-8
  for name in ('min', 'max', 'mean', 'std'):
    found = getattr(gabor.bank(), name)()
    assert found == pytest.approx(expected[name], rel=1e-9)


def with_gabor(name, like=None):
  model, stages = init_cases.cached(name)
  scheme = compose.by_role(
    schemes.keep(), kernel=gabor.filters(like or schemes.random())
  )
  scheme = compose.by_stage(
    stages, {stages.names[0]: scheme}, default=schemes.keep()
  )
  report = init.apply(model, scheme, stages, 0)
  return np.array(model.get_layer(stages.names[0]).kernel), report


@pytest.mark.parametrize(
  'name, angles',
  [('resnet50', 16), ('cbr_large_w', 16), ('cbr_small', 8), ('cbr_tiny', 8)],
)
def test_gabor_kernels_are_the_bank_scaled_once(name, angles):
  kernel, _ = with_gabor(name)
  bank = gabor.bank().reshape(4, 16, 7, 7)[:, :: 16 // angles]
  if name == 'cbr_tiny':
    bank = bank[..., 1:-1, 1:-1]
  expected = np.moveaxis(bank.reshape(-1, *bank.shape[2:]), 0, -1)
  for channel in range(3):
    ratio = kernel[:, :, channel] / expected
    assert ratio == pytest.approx(ratio.mean(), rel=1e-3)


def test_gabor_scale_is_the_references():
  model, _ = init_cases.cached('resnet50')
  source = init_cases.pretrained(model)
  kernel, report = with_gabor('resnet50', schemes.transfer(source))
  assert kernel.std() == pytest.approx(source['conv1/kernel'].std(), rel=1e-5)
  assert 'standard deviation of transfer' in report[0]['note']
  random, _ = with_gabor('resnet50')
  assert random.std() == pytest.approx((2 / (49 * 3)) ** 0.5, rel=0.03)


@pytest.mark.parametrize(
  'size, channels, words',
  [
    (3, 32, r'\(3, 3, 3, 32\): Gabor filters are 7x7 or 5x5'),
    (9, 64, r'\(9, 9, 3, 64\): Gabor filters are 7x7 or 5x5'),
    (7, 48, r'\(7, 7, 3, 48\): the bank gives 64, 32, 16, 8 or 4'),
    (7, 2, r'\(7, 7, 3, 2\): the bank gives 64, 32, 16, 8 or 4'),
    (7, 128, r'\(7, 7, 3, 128\): the bank gives 64, 32, 16, 8 or 4'),
  ],
)
def test_gabor_refuses_what_it_does_not_fit(size, channels, words):
  inputs = keras.Input((16, 16, 3))
  conv = keras.layers.Conv2D(channels, size, use_bias=False, name='conv1')
  model = keras.Model(inputs, conv(inputs))
  stages = stages_lib.Stages.from_patterns(
    stages_lib.prefix_patterns(['conv1']), model
  )
  with pytest.raises(errors.InputError, match=words):
    init.apply(model, gabor.filters(schemes.random()), stages, 0)


# Freezing.


def train(model, num_steps=20):
  """Plain SGD on noise, in training mode."""
  rng = np.random.default_rng(0)
  optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
  # XLA of the wheel for TPUs has no CPU.
  model.compile(optimizer, keras.losses.MeanSquaredError(), jit_compile=False)
  shape = (2 * num_steps, *model.input_shape[1:])
  images = rng.normal(size=shape).astype('float32')
  targets = rng.normal(size=(2 * num_steps, *model.output_shape[1:]))
  model.fit(images, targets, batch_size=2, epochs=1, verbose=0)
  assert int(optimizer.iterations) == num_steps


@pytest.mark.parametrize(
  'name, upto',
  [
    ('cbr_tiny', 'conv2'),
    ('users', 'conv1'),
    pytest.param('resnet50', 'block2', marks=pytest.mark.slow),
    pytest.param('inception_v3', 'Mixed_5d', marks=pytest.mark.slow),
    pytest.param('densenet121', 'block1', marks=pytest.mark.slow),
    pytest.param('mobilenet_v2', 'conv1', marks=pytest.mark.slow),
  ],
)
def test_frozen_stages_do_not_move(name, upto):
  model, stages = init_cases.build(name)
  init.apply(model, schemes.random(), stages, 0)
  init.freeze(model, stages, upto)
  before = init_cases.values_of(model)
  train(model)
  moved = {
    path: (before[path] != now).any()
    for path, now in init_cases.values_of(model).items()
  }
  frozen = stages.up_to(upto)
  assert not any(
    m for path, m in moved.items() if stages.stage_of(path) in frozen
  )
  statistics = [p for p in moved if p.endswith('moving_mean')]
  assert any(stages.stage_of(path) in frozen for path in statistics)
  free = [path for path in moved if stages.stage_of(path) not in frozen]
  assert all(moved[path] for path in free if not path.endswith('/bias'))


def test_freezing_all_is_refused(tiny):
  model, stages, _ = tiny
  with pytest.raises(errors.InputError, match='nothing to train'):
    init.freeze(model, stages, 'head')
  with pytest.raises(errors.InputError, match='unknown stage'):
    init.freeze(model, stages, 'block1')
  assert all(layer.trainable for layer in model.layers)


def test_config_names_what_compose_knows():
  defaults = {f.name: f.default for f in dataclasses.fields(config.Init)}
  assert defaults['scheme'] in init.schemes.names()
  assert defaults['bn_init'] in compose.BN_INITS
  assert defaults['conv1'] in compose.CONV1S


def test_a_plain_function_is_an_initializer():
  inputs = keras.Input((4,))
  ramp = keras.layers.Dense(
    2, kernel_initializer=lambda shape, dtype: np.full(shape, 3), name='head'
  )
  model = keras.Model(inputs, ramp(inputs))
  stages = stages_lib.Stages.from_patterns(
    stages_lib.prefix_patterns(['head']), model
  )
  init.apply(model, schemes.random(), stages, 0)
  assert (np.array(ramp.kernel) == 3).all()

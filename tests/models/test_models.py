"""The networks: the paper's counts and shapes, and Keras' nets as oracles."""

import math

import keras
import numpy as np
import pytest

from transfusion_tf import errors
from transfusion_tf import models
from transfusion_tf.init.sources import keras_applications

# Table 1, "Parameters", and the kernel of conv1, which its rule leaves out.
TABLE1 = {
  'cbr_large_t': 8_532_480,
  'cbr_large_w': 8_432_128,
  'cbr_small': 2_108_672,
  'cbr_tiny': 1_076_480,
}
# Table 1 has these too; no rule that gives them is known (see the README).
TABLE1_WITHOUT_RULE = {'resnet50': 23_570_408, 'inception_v3': 22_881_424}
TRAINABLE = {
  'resnet50': 23_518_277,
  'inception_v3': 21_778_597,
  'cbr_large_t': 8_539_173,
  'cbr_large_w': 8_443_461,
  'cbr_small': 2_114_341,
  'cbr_tiny': 1_079_845,
  'cbr_tiny_wide': 4_310_085,
}
# Side and channels of each stage for an image of 587x587 pixels. Appendix C
# quotes 294x294x64 after conv1 and 19x19x1024 after block3 of ResNet-50.
SHAPES_587 = {
  'resnet50': [(294, 64), (74, 256), (37, 512), (19, 1024), (19, 2048)],
  'inception_v3': [
    *[(293, 32), (291, 32), (291, 64), (145, 80), (143, 192)],
    *[(71, 256), (71, 288), (71, 288)],
    *[(35, 768)] * 5,
    *[(17, 1280), (17, 2048), (17, 2048)],
  ],
  'cbr_large_t': [(294, 32), (147, 64), (74, 128), (37, 256), (37, 512)],
  'cbr_large_w': [(294, 64), (147, 128), (74, 256), (37, 512)],
  'cbr_small': [(294, 32), (147, 64), (74, 128), (37, 256)],
  'cbr_tiny': [(294, 32), (147, 64), (74, 128), (37, 256)],
  'cbr_tiny_wide': [(294, 64), (147, 128), (74, 256), (37, 512)],
}


@pytest.fixture(scope='module')
def at_587():
  return {n: models.build(n, 5, (587, 587, 3)) for n in models.NAMES}


@pytest.fixture(scope='module')
def of_any_size():
  return {n: models.build(n, 3, (None, None, 3)) for n in models.NAMES}


def count(weights):
  return sum(math.prod(w.shape) for w in weights)


def kernels(model, above='conv1'):
  return [
    w
    for w in model.weights
    if w.path.endswith('/kernel') and w.path.split('/')[0] != above
  ]


@pytest.mark.parametrize('name', TABLE1)
def test_table1_counts_kernels_above_conv1(at_587, name):
  # Includes the head's 5 * C kernel, but neither its bias nor batch norm.
  assert count(kernels(at_587[name])) == TABLE1[name]


@pytest.mark.parametrize('name', TABLE1_WITHOUT_RULE)
def test_table1_has_no_rule_for_the_standard_nets(at_587, name):
  # The CBRs' rule misses, and so do the trainable and the whole count.
  model = at_587[name]
  first = 'conv1' if name == 'resnet50' else 'Conv2d_1a_3x3'
  counts = [
    count(kernels(model, above=first)),
    count(model.trainable_weights),
    count(model.weights),
  ]
  assert TABLE1_WITHOUT_RULE[name] not in counts


def test_appendix_widths_of_cbr_tiny_do_not_give_table1(at_587):
  assert count(kernels(at_587['cbr_tiny_wide'])) == 4_303_360
  assert 4_303_360 != TABLE1['cbr_tiny']


@pytest.mark.parametrize('name', models.NAMES)
def test_trainable_counts(at_587, name):
  assert count(at_587[name].trainable_weights) == TRAINABLE[name]


@pytest.mark.parametrize('name', models.NAMES)
def test_stage_shapes_at_587(at_587, name):
  model = at_587[name]
  stages = models.stages_of(model)
  shapes = [model.get_layer(s.endpoint).output.shape for s in stages]
  expected = [(None, side, side, c) for side, c in SHAPES_587[name]]
  assert shapes == [*expected, (None, 5)]
  assert stages.names[-1] == 'head'


def test_keras_geometry_has_37_in_block3():
  model = models.build('resnet50', 5, (587, 587, 3), stride_in='first')
  taps = [model.get_layer(s.endpoint) for s in models.stages_of(model)]
  assert [t.output.shape[1] for t in taps[:-1]] == [294, 147, 74, 37, 19]


@pytest.mark.parametrize('name', models.NAMES)
def test_every_weight_has_one_stage_in_order(at_587, name):
  model = at_587[name]
  stages = models.stages_of(model)
  order = [stages.stage_of(w.path) for w in model.weights]
  assert list(dict.fromkeys(order)) == list(stages.names)


@pytest.mark.parametrize('name', models.NAMES)
def test_weight_names_depend_on_nothing_else_in_the_process(
  at_587, of_any_size, name
):
  again = of_any_size[name]
  assert [w.path for w in again.weights] == [
    w.path for w in at_587[name].weights
  ]
  paths = {w.path for w in again.weights}
  assert len(paths) == len(again.weights)


@pytest.mark.parametrize('name', models.NAMES)
def test_any_size_and_float32_logits(of_any_size, name):
  model = of_any_size[name]
  for height, width in [(75, 75), (80, 101)]:
    logits = model(np.ones((2, height, width, 3), 'float32'))
    assert logits.shape == (2, 3)
    assert logits.dtype == 'float32'


def test_logits_stay_float32_in_mixed_precision():
  keras.config.set_dtype_policy('mixed_bfloat16')
  try:
    model = models.build('cbr_tiny', 3, (32, 32, 3))
  finally:
    keras.config.set_dtype_policy('float32')
  assert model.output.dtype == 'float32'
  assert model.get_layer('conv1').compute_dtype == 'bfloat16'


@pytest.mark.parametrize(
  'name, momentum, epsilon',
  [
    ('resnet50', 0.997, 1e-5),
    ('cbr_small', 0.997, 1e-5),
    ('inception_v3', 0.9997, 1e-3),
  ],
)
def test_batch_norm_constants(at_587, name, momentum, epsilon):
  given = models.build(name, 2, (96, 96, 3), bn_momentum=0.9)
  for model, expected in [(at_587[name], momentum), (given, 0.9)]:
    norms = [
      layer
      for layer in model.layers
      if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert norms
    assert {n.momentum for n in norms} == {expected}
    assert {n.epsilon for n in norms} == {epsilon}
    assert {n.scale for n in norms} == {name != 'inception_v3'}


def widths(model):
  return [
    model.get_layer(s.endpoint).output.shape[-1]
    for s in models.stages_of(model)
  ]


def resnet_parameters(root, insides, num_units=(3, 4, 6, 3), classes=5):
  """Trainable count by hand: kernels, gammas and betas, and the head."""
  total, channels = 49 * 3 * root + 2 * root, root
  for inside, units in zip(insides, num_units, strict=True):
    total += 4 * channels * inside + 8 * inside  # The projection.
    for _ in range(units):
      total += inside * (channels + 9 * inside + 4 * inside) + 12 * inside
      channels = 4 * inside
  return total + (channels + 1) * classes


def cbr_parameters(kernel_size, channels, classes=5):
  pairs = zip((3, *channels), channels, strict=False)
  convs = sum(kernel_size**2 * a * b + 2 * b for a, b in pairs)
  return convs + (channels[-1] + 1) * classes


@pytest.mark.parametrize(
  'name, slim_from, expected, parameters',
  [
    (
      'resnet50',
      'block3',
      [64, 256, 512, 512, 1024, 5],
      resnet_parameters(64, (64, 128, 128, 256)),
    ),
    (
      'resnet50',
      'conv1',
      [32, 128, 256, 512, 1024, 5],
      resnet_parameters(32, (32, 64, 128, 256)),
    ),
    (
      'cbr_large_t',
      'conv4',
      [32, 64, 128, 128, 256, 5],
      cbr_parameters(7, (32, 64, 128, 128, 256)),
    ),
    (
      'cbr_tiny',
      'conv3',
      [32, 64, 64, 128, 5],
      cbr_parameters(5, (32, 64, 64, 128)),
    ),
  ],
)
def test_slim_widths(at_587, name, slim_from, expected, parameters):
  slim = models.build(name, 5, (64, 64, 3), slim_from=slim_from)
  full = at_587[name]
  assert widths(slim) == expected
  assert count(slim.trainable_weights) == parameters
  stages = models.stages_of(full)
  below = stages.names[: stages.names.index(slim_from)]
  for mine, theirs in zip(slim.weights, full.weights, strict=True):
    assert mine.path == theirs.path
    if stages.stage_of(mine.path) in below:
      assert mine.shape == theirs.shape


def randomize(model, seed):
  """Random values everywhere, batch norm statistics and biases included."""
  rng = np.random.default_rng(seed)
  for weight in model.weights:
    name, shape = weight.name, weight.shape
    if name in ('gamma', 'moving_variance'):
      weight.assign(rng.uniform(0.5, 1.5, shape))
    elif name != 'kernel':
      weight.assign(rng.normal(0, 0.3, shape))


@pytest.mark.parametrize(
  'name, oracle, kwargs, size',
  [
    ('resnet50', keras.applications.ResNet50, {'stride_in': 'first'}, 97),
    ('resnet50', keras.applications.ResNet50, {'stride_in': 'first'}, 64),
    ('inception_v3', keras.applications.InceptionV3, {}, 107),
  ],
)
def test_logits_equal_keras_applications(name, oracle, kwargs, size):
  theirs = oracle(
    weights=None,
    classes=7,
    classifier_activation=None,
    input_shape=(size, size, 3),
  )
  randomize(theirs, seed=1)
  ours = models.build(name, 7, (size, size, 3), **kwargs)
  arrays = keras_applications.renamed(theirs, ours)
  assert set(arrays) == {w.path for w in ours.weights}
  for weight in ours.weights:
    weight.assign(arrays[weight.path])
  images = np.random.default_rng(2).normal(size=(2, size, size, 3))
  expected = np.asarray(theirs(images.astype('float32')))
  actual = np.asarray(ours(images.astype('float32')))
  assert expected.std() > 0.1  # Not equal for being dead.
  difference = np.abs(actual - expected).max()
  print(f'{name} {size}: {difference:.1e} of spread {expected.std():.2f}')
  assert difference < 1e-4 * max(1, expected.std())


@pytest.mark.parametrize(
  'kwargs, words',
  [
    ({'name': 'resnet5'}, "'resnet50'"),
    ({'name': 'cbr_tiny', 'num_classes': 0}, 'num_classes'),
    ({'name': 'cbr_tiny', 'stride_in': 'first'}, 'stride_in'),
    ({'name': 'resnet50', 'stride_in': 'middle'}, 'last, first'),
    ({'name': 'resnet50', 'slim_from': 'block5'}, 'block4'),
    ({'name': 'cbr_tiny', 'slim_from': 'head'}, 'conv4'),
    ({'name': 'inception_v3', 'slim_from': 'Mixed_7a'}, 'slim'),
    ({'name': 'inception_v3', 'input_shape': (64, 64, 3)}, '75x75'),
  ],
)
def test_refuses_in_one_line(kwargs, words):
  arguments = {'num_classes': 5, 'input_shape': (96, 96, 3), **kwargs}
  with pytest.raises(errors.InputError, match=words) as caught:
    models.build(**arguments)
  assert '\n' not in str(caught.value)


def test_stages_of_a_foreign_model_are_not_guessed():
  model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
  with pytest.raises(errors.InputError, match='from_patterns'):
    models.stages_of(model)


def test_another_order_of_axes_is_refused(monkeypatch):
  monkeypatch.setattr(
    keras.src.backend.config, '_IMAGE_DATA_FORMAT', 'channels_first'
  )
  with pytest.raises(errors.InputError, match='set_image_data_format') as error:
    models.build('cbr_tiny', 5, (32, 32, 3))
  assert '\n' not in str(error.value)


def test_another_backend_is_refused(monkeypatch):
  monkeypatch.setattr(keras.src.backend.config, '_BACKEND', 'torch')
  with pytest.raises(errors.InputError, match='KERAS_BACKEND=tensorflow'):
    models.build('cbr_tiny', 5, (32, 32, 3))

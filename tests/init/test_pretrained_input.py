"""Pretrained weights on the photographs that they were trained for.

Whatever the route, our network computes on its own input the features that the
source computes on its own.
"""

import itertools
import sys
import types
import zipfile

import h5py
import keras
import numpy as np
import pytest
import skimage.data
import skimage.transform
import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import init
from transfusion_tf import models
from transfusion_tf.init import weights
from transfusion_tf.init.sources import files
from transfusion_tf.init.sources import tf_slim
from transfusion_tf.input_pipeline import augment
from transfusion_tf.input_pipeline import normalization
from transfusion_tf.models import graph
from transfusion_tf.train import checkpoint

SIZE = 96
MODULE = 'nets_under_test'


def slow(*values):
  """A case that is as slow as others, and says nearly the same."""
  return pytest.param(*values, marks=pytest.mark.slow)


def caffe(images):
  """Keras' own preprocessing, which changes arrays in place."""
  return keras.applications.resnet50.preprocess_input(images.copy())


def scaled(images):
  return keras.applications.inception_v3.preprocess_input(images.copy())


def standardized(images):
  return keras.applications.densenet.preprocess_input(images.copy())


# Kind -> the preprocessing of those who trained on it, of RGB in [0, 255].
PREPROCESSING = {
  'caffe': caffe,
  'inception': scaled,
  'imagenet': standardized,
  'unit': lambda x: x / 255,
  'bytes': lambda x: x,
  'radimagenet': lambda x: caffe(x) / 255,
}
# Routes that tell the architecture.
TELLING = ('.keras', '.h5', 'a model', 'function')
# Ours -> theirs, and the layers that are compared, early and late.
PAIRS = {
  'resnet50': (
    'ResNet50',
    {'conv1.relu': 'conv1_relu', 'block4.unit_3.relu': 'conv5_block3_out'},
  ),
  'inception_v3': (
    'InceptionV3',
    {'Mixed_5b': 'mixed0', 'Mixed_7c': 'mixed10'},
  ),
}


@pytest.fixture(scope='module')
def photographs():
  """Four photographs, RGB in [0, 255], [4, S, S, 3]."""
  names = ('astronaut', 'coffee', 'cat', 'retina')
  images = [getattr(skimage.data, name)() for name in names]
  resized = [
    skimage.transform.resize(x, (SIZE, SIZE), anti_aliasing=True)
    for x in images
  ]
  return np.round(255 * np.stack(resized)).astype(np.float32)


def randomize(model, seed=0):
  """Give biases and batch norm values that matter, as training does."""
  rng = np.random.default_rng(seed)
  for variable in model.weights:
    if variable.name in ('gamma', 'moving_variance'):
      variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    elif variable.name in ('beta', 'bias', 'moving_mean'):
      variable.assign(rng.normal(0, 0.3, variable.shape))
  return model


@pytest.fixture(scope='module')
def published():
  """Our name -> the network of keras.applications, with a top."""
  nets = {}
  for name, (theirs, _) in PAIRS.items():
    make = getattr(keras.applications, theirs)
    nets[name] = randomize(
      make(weights=None, classes=7, input_shape=(SIZE, SIZE, 3))
    )
  return nets


def features(model, layer, images):
  return np.asarray(
    keras.Model(model.inputs[0], model.get_layer(layer).output)(images)
  )


def correlation(a, b):
  return np.corrcoef(a.ravel(), b.ravel())[0, 1]


def transferred(new, source):
  parts = models.stages_of(new)
  init.apply(new, init.schemes.transfer(source), parts, seed=0)
  return new


def compare(ours, theirs, layers, given, trained_on, photographs, **load):
  """Return the smallest correlation of features, after loading."""
  source = load.pop('source')
  transferred(ours, weights.load(source, ours, given, **load))
  x = augment.normalize(tf.constant(photographs / 255), given)
  y = PREPROCESSING[trained_on](photographs)
  found = {
    mine: correlation(features(ours, mine, x), features(theirs, other, y))
    for mine, other in layers.items()
  }
  print(f'{source}: {trained_on} -> {given}:', found)
  return min(found.values())


def ours_of(name):
  options = {'stride_in': 'first'} if name == 'resnet50' else {}
  return models.build(name, 5, (SIZE, SIZE, 3), **options)


def save_legacy_weights(model, path, suffix=':0'):
  """Write weights alone as old Keras did, layer by layer."""
  with h5py.File(path, 'w') as file:
    layers = [layer for layer in model.layers]
    file.attrs['layer_names'] = [layer.name.encode() for layer in layers]
    file.attrs['keras_version'] = b'2.2.4'
    for layer in layers:
      group = file.create_group(layer.name)
      names = [f'{layer.name}/{v.name}{suffix}' for v in layer.weights]
      group.attrs['weight_names'] = [name.encode() for name in names]
      for name, variable in zip(names, layer.weights, strict=True):
        group[name] = np.asarray(variable)
  return path


def save(model, folder, route):
  """Save as `route` names, and return what --pretrained takes."""
  path = folder / f'net{route.removeprefix("weights alone ")}'
  if route == 'a model':
    return model
  if route.startswith('weights alone'):
    return str(save_legacy_weights(model, path))
  if route == '.weights.h5':
    model.save_weights(path)
  else:
    model.save(path)
  return str(path)


# The weights of keras.applications.


@pytest.mark.parametrize('name', ['resnet50', slow('inception_v3')])
@pytest.mark.parametrize(
  'route',
  [
    '.keras',
    slow('.h5'),
    slow('a model'),
    'weights alone .h5',
    slow('.weights.h5'),
  ],
)
def test_keras_networks_into_ours(
  name, route, published, photographs, tmp_path
):
  theirs = published[name]
  trained_on = 'caffe' if name == 'resnet50' else 'inception'
  lowest = compare(
    ours_of(name),
    theirs,
    PAIRS[name][1],
    'imagenet',
    trained_on,
    photographs,
    source=save(theirs, tmp_path, route),
    pretrained_input='' if route in TELLING else trained_on,
  )
  assert lowest >= 0.9999


def test_the_fit_is_what_makes_them_equal(published, photographs):
  for name, (_, layers) in PAIRS.items():
    lowest = compare(
      ours_of(name),
      published[name],
      layers,
      'imagenet',
      'caffe' if name == 'resnet50' else 'inception',
      photographs,
      source=published[name],
      pretrained_input='imagenet',  # As if it were true.
    )
    assert lowest < 0.9999


@pytest.mark.slow
@pytest.mark.parametrize('given', ['caffe', 'bytes'])
def test_a_network_that_pads_nothing_takes_any_input(
  published, photographs, given
):
  theirs = published['inception_v3']
  lowest = compare(
    ours_of('inception_v3'),
    theirs,
    PAIRS['inception_v3'][1],
    given,
    'inception',
    photographs,
    source=theirs,
  )
  assert lowest >= 0.9999


@pytest.mark.parametrize(
  'given', ['imagenet', slow('caffe'), slow('radimagenet')]
)
def test_radimagenet(published, photographs, tmp_path, given):
  theirs = keras.applications.ResNet50(
    weights=None, include_top=False, input_shape=(SIZE, SIZE, 3)
  )
  randomize(theirs)
  lowest = compare(
    ours_of('resnet50'),
    theirs,
    PAIRS['resnet50'][1],
    given,
    'radimagenet',
    photographs,
    source=save(theirs, tmp_path, 'weights alone .h5'),
    pretrained_input='radimagenet',
  )
  assert lowest >= 0.9999


def test_a_model_of_an_old_keras_is_read_as_weights_alone(tmp_path):
  saved = randomize(small_net())
  path = str(tmp_path / 'old.h5')
  with h5py.File(path, 'w') as file:
    file.attrs['model_config'] = '{"class_name": "Model", "config": {}}'
    group = file.create_group('model_weights')
    group.attrs['layer_names'] = ['input_1', 'first', 'logits']
    group.create_group('input_1').attrs['weight_names'] = []
    for name in ('first', 'logits'):
      names = [f'{name}_W:0', f'{name}_b:0']  # As of Keras 1.
      group.create_group(name).attrs['weight_names'] = names
      for weight, v in zip(names, saved.get_layer(name).weights, strict=True):
        group[name][weight] = np.asarray(v)
  source = weights.load(path, small_net(), 'unit', 'unit')
  for variable in saved.weights:
    np.testing.assert_array_equal(source[variable.path], variable)
  assert weights.stride_in(save(saved, tmp_path, '.h5')) == ''


@pytest.mark.parametrize('name', ['resnet50', slow('inception_v3')])
def test_the_route_imagenet(name, published, photographs, monkeypatch):
  monkeypatch.setitem(
    weights._APPLICATIONS, name, lambda weights: published[name]
  )
  trained_on = 'caffe' if name == 'resnet50' else 'inception'
  lowest = compare(
    ours_of(name),
    published[name],
    PAIRS[name][1],
    'imagenet',
    trained_on,
    photographs,
    source='imagenet',
  )
  assert lowest >= 0.9999


# Networks of a user's own.


@pytest.fixture
def user(monkeypatch):
  """Names a function of a module as `module:function`."""
  module = types.ModuleType(MODULE)
  monkeypatch.setitem(sys.modules, MODULE, module)

  def name(function):
    setattr(module, function.__name__, function)
    return f'{MODULE}:{function.__name__}'

  return name


# Theirs, an input that they can be given instead, layers to compare.
USER_NETS = {
  'ResNet50': ('caffe', 'imagenet', ('conv1_relu', 'conv5_block3_out')),
  'InceptionV3': ('inception', 'imagenet', ('mixed0', 'mixed10')),
  'DenseNet121': ('imagenet', 'caffe', ('conv1_relu', 'relu')),
  'Xception': ('inception', 'bytes', ('block1_conv1_act', 'block14_sepconv2')),
  'VGG16': ('caffe', 'radimagenet', ('block1_conv1', 'block5_pool')),
  'MobileNetV2': ('inception', 'inception', ('Conv1_relu', 'out_relu')),
  'EfficientNetB0': ('bytes', 'bytes', ('stem_activation', 'top_activation')),
}


def users_net(theirs, classes):
  base = getattr(keras.applications, theirs)(
    weights=None, include_top=False, input_shape=(SIZE, SIZE, 3)
  )
  x = keras.layers.GlobalAveragePooling2D(name='pooled')(base.output)
  x = keras.layers.Dense(classes, name='logits')(x)
  return keras.Model(base.input, x, name='mine')


@pytest.mark.parametrize(
  'theirs, route',
  [
    *(slow(theirs, 'function') for theirs in USER_NETS),
    *itertools.starmap(
      slow,
      itertools.product(
        ('ResNet50', 'InceptionV3'),
        ('.keras', '.h5', 'weights alone .h5', '.weights.h5'),
      ),
    ),
  ],
)
def test_into_the_same_architecture_of_a_user(
  theirs, route, photographs, user, tmp_path
):
  trained_on, given, layers = USER_NETS[theirs]
  saved = randomize(users_net(theirs, 7))

  def network(num_classes, input_shape):
    del input_shape
    return users_net(theirs, num_classes)

  def pretrained():
    return saved

  ours = models.build(user(network), 5, (SIZE, SIZE, 3))
  if route == 'function':
    source = user(pretrained)
  else:
    source = save(saved, tmp_path, route)
  lowest = compare(
    ours,
    saved,
    dict(zip(layers, layers, strict=True)),
    given,
    trained_on,
    photographs,
    source=source,
    pretrained_input='' if route in TELLING else trained_on,
  )
  assert lowest >= 0.9999


def test_a_nested_model_is_fitted(user, photographs):
  def nested(num_classes, input_shape):
    layers = keras.layers
    inner = keras.Sequential(
      [
        keras.Input(input_shape),
        layers.ZeroPadding2D(2),
        layers.Conv2D(8, 5, strides=2, use_bias=False, name='stem'),
        layers.BatchNormalization(name='norm'),
      ],
      name='inner',
    )
    return keras.Sequential(
      [
        keras.Input(input_shape),
        inner,
        layers.GlobalAveragePooling2D(),
        layers.Dense(num_classes, name='logits'),
      ],
      name='outer',
    )

  ours, saved = (
    models.build(user(nested), 5, (SIZE, SIZE, 3)) for _ in range(2)
  )
  randomize(saved)
  lowest = compare(
    ours,
    saved,
    {'inner': 'inner'},
    'imagenet',
    'caffe',
    photographs,
    source=saved,
    pretrained_input='caffe',
  )
  assert lowest >= 0.9999


# Runs, exports and imported checkpoints.


def write_run(folder, model, trained_on):
  """Write a run of one checkpoint, as training does."""
  optimizer = keras.optimizers.SGD(0.1)
  optimizer.build(model.trainable_variables)
  step = tf.Variable(0, dtype=tf.int64)
  checkpoint.Checkpoints(
    str(folder / 'checkpoints'), model, optimizer, {'step': step}
  ).save()
  changes = {'model.name': model.name, 'data.normalization': trained_on}
  config.save(config.override(config.RETINA, changes), folder / 'config.json')
  return f'{folder}@init'


@pytest.mark.parametrize(
  'name, route',
  [
    slow('resnet50', '.npz'),
    slow('resnet50', '.keras'),
    ('resnet50', 'a run'),
    slow('inception_v3', '.npz'),
  ],
)
def test_recorded_inputs(name, route, photographs, tmp_path):
  saved = randomize(models.build(name, 5, (SIZE, SIZE, 3)))
  path = str(tmp_path / f'net{route}')
  trained_on = 'caffe' if name == 'resnet50' else 'inception'
  if route == 'a run':
    path = write_run(tmp_path, saved, trained_on)
  elif route == '.npz':
    arrays = {
      w.path: np.asarray(w.variable) for w in graph.Graph(saved).weights
    }
    files.save_npz(path, arrays, 'TF-Slim', trained_on)
  else:
    saved.save(path)
    files.record_input(path, trained_on)
  layers = PAIRS[name][1]
  lowest = compare(
    models.build(name, 5, (SIZE, SIZE, 3)),
    saved,
    {layer: layer for layer in layers},
    'imagenet',
    trained_on,
    photographs,
    source=path,
  )
  assert lowest >= 0.9999


def test_tf_slims_resnet_takes_rgb_less_the_mean(photographs):
  saved = randomize(models.build('resnet50', 5, (SIZE, SIZE, 3)))
  weights = graph.Graph(saved).weights
  arrays = {w.path: np.asarray(w.variable) for w in weights}
  expected = features(saved, 'conv1.relu', caffe(photographs)[..., ::-1])
  fitted = tf_slim.for_named_input(arrays, 'resnet50')
  transferred(saved, fitted)
  images = PREPROCESSING[tf_slim.INPUTS['resnet50']](photographs)
  found = features(saved, 'conv1.relu', images)
  np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-2)


# The table.


@pytest.mark.parametrize('kind', normalization.KINDS)
def test_every_kind_is_what_its_publishers_compute(kind, photographs):
  found = augment.normalize(tf.constant(photographs / 255), kind)
  expected = PREPROCESSING[kind](photographs)
  scale = np.abs(expected).max()
  np.testing.assert_allclose(found / scale, expected / scale, atol=1e-6)


# What cannot be fitted.


def small_net(rescale=False, use_bias=True):
  layers = keras.layers
  x = inputs = keras.Input((SIZE, SIZE, 3))
  if rescale:
    x = layers.Rescaling(1 / 255)(x)
  x = layers.Conv2D(
    8, 3, activation='relu', padding='same', use_bias=use_bias, name='first'
  )(x)
  x = layers.GlobalAveragePooling2D()(x)
  return keras.Model(inputs, layers.Dense(5, name='logits')(x), name='small')


def refuses(words, *args, **kwargs):
  with pytest.raises(errors.InputError, match=words) as caught:
    weights.load(*args, **kwargs)
  assert '\n' not in str(caught.value)


def test_nothing_tells():
  net = small_net()
  words = 'the model small: nothing tells .* --pretrained_input=imagenet|'
  refuses(words, net, net, 'imagenet')
  assert weights.load(net, net, 'imagenet', 'imagenet') is not None
  assert weights.load(net, net) is not None  # As they are.


def test_the_same_input_changes_nothing():
  net = small_net()
  source = weights.load(net, net, 'unit', 'unit')
  assert (source['first/kernel'] == np.asarray(net.weights[0])).all()


def test_a_border_of_another_color():
  net = small_net()
  refuses(
    'small cannot absorb .* pads .*--normalization=inception$',
    net,
    net,
    'imagenet',
    'inception',
  )
  assert weights.load(net, net, 'caffe', 'imagenet') is not None
  assert weights.load(net, net, 'unit', 'bytes') is not None


def test_a_first_layer_that_absorbs_nothing():
  net = small_net(rescale=True)
  refuses('rescaling.*--normalization=bytes$', net, net, 'imagenet')
  net = small_net(use_bias=False)
  refuses('neither a bias nor', net, net, 'imagenet', 'caffe')
  assert weights.load(net, net, 'unit', 'bytes') is not None


def test_unknown_kinds():
  net = small_net()
  refuses(
    "pretrained_input 'cafe'; did you mean 'caffe'", net, net, 'unit', 'cafe'
  )
  refuses("unknown normalization 'cafe'", net, net, 'cafe', 'caffe')
  refuses('no weights are given', '', net, 'unit', 'caffe')


def test_a_record_is_not_contradicted(tmp_path):
  path = str(tmp_path / 'net.keras')
  small_net().save(path)
  files.record_input(path, 'unit')
  assert weights.load(path, small_net(), 'bytes')
  assert weights.load(path, small_net(), 'bytes', 'unit')
  refuses('was trained on .* unit, not', path, small_net(), 'bytes', 'caffe')
  with zipfile.ZipFile(path) as file:
    assert file.testzip() is None


@pytest.mark.slow
def test_the_stride_of_weights(published, tmp_path, user):
  theirs = published['resnet50']
  for route in ('.keras', '.h5', 'weights alone .h5', '.weights.h5'):
    assert weights.stride_in(save(theirs, tmp_path, route)) == 'first'

  def pretrained():
    return theirs

  assert weights.stride_in(user(pretrained)) == 'first'
  assert weights.stride_in('imagenet') == 'first'
  assert weights.stride_in(str(tmp_path / 'nothing.keras')) == ''
  slim = str(tmp_path / 'slim.npz')
  files.save_npz(slim, {}, 'TF-Slim', 'caffe')
  assert weights.stride_in(slim) == 'last'
  refuses('stride_in=last, the new net', slim, ours_of('resnet50'))
  for stride in ('last', 'first'):
    own = models.build('resnet50', 5, (64, 64, 3), stride_in=stride)
    own.save(tmp_path / 'own.keras')
    assert weights.stride_in(str(tmp_path / 'own.keras')) == stride

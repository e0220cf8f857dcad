"""TF-Slim's own graphs as oracles: names, shapes and logits."""

import functools
import hashlib
import json
import pathlib

import numpy as np
import paths
import pytest
import slim_graphs
import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import init
from transfusion_tf import models
from transfusion_tf.init import input_scaling
from transfusion_tf.init import types
from transfusion_tf.init.sources import tf_slim

tf1 = tf.compat.v1
# A second size beside TF-Slim's own; Inception's pools shrink with it.
SIZES = {'inception_v3': (299, 203), 'resnet50': (299, 160)}


def rewrite(folder, checkpoint, change=None, single_file=False):
  """The checkpoint with its {name: array} changed; its prefix."""
  reader = tf.train.load_checkpoint(checkpoint)
  arrays = {n: reader.get_tensor(n) for n in reader.get_variable_to_shape_map()}
  if change is not None:
    change(arrays)
  names, values = list(arrays), list(arrays.values())
  prefix = str(folder / 'changed.ckpt')
  if single_file:
    tf.raw_ops.Save(filename=prefix, tensor_names=names, data=values)
  else:
    tf.raw_ops.SaveV2(
      prefix=prefix,
      tensor_names=names,
      shape_and_slices=[''] * len(names),
      tensors=values,
    )
  return prefix


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
  """A function: model -> the prefix of its TF-Slim checkpoint."""
  folder = tmp_path_factory.mktemp('slim')
  return functools.cache(functools.partial(slim_graphs.save, folder))


@pytest.fixture
def resnet(saved):
  return saved('resnet50')


@pytest.mark.parametrize(
  'name, size',
  [
    pytest.param(name, size, marks=[pytest.mark.slow] * (size != 160))
    for name in SIZES
    for size in SIZES[name]
  ],
)
def test_logits_equal_tf_slim(saved, name, size):
  checkpoint = saved(name)
  images = np.random.default_rng(3).uniform(-1, 1, (1, size, size, 3))
  with tf1.Graph().as_default(), tf1.Session() as session:
    pictures = tf.constant(images, tf.float32)
    logits = slim_graphs.graph(name, pictures, aux=False)
    tf1.train.Saver(tf1.global_variables()).restore(session, checkpoint)
    expected = session.run(logits)
  model = models.build(name, slim_graphs.NUM_CLASSES[name], (size, size, 3))
  source = tf_slim.read(checkpoint, name)
  report = init.apply(
    model, init.schemes.transfer(source), models.stages_of(model), seed=0
  )
  assert {row['scheme'] for row in report} == {'transfer'}
  difference = np.abs(np.asarray(model(images)) - expected).max()
  print(f'{name} at {size}: {difference:.1e}, spread {expected.std():.2f}')
  assert expected.std() > 0.1
  assert difference < 1e-4


@pytest.mark.slow
def test_inception_has_the_published_variables(saved):
  reader = tf.train.load_checkpoint(saved('inception_v3'))
  shapes = reader.get_variable_to_shape_map()
  del shapes['global_step']
  with open(paths.TESTS / 'vectors/slim_inception_v3_variables.json') as file:
    assert shapes == json.load(file)['variables']


def test_reads_the_single_file_format_of_the_published_checkpoints(
  resnet, tmp_path
):
  old = rewrite(tmp_path, resnet, single_file=True)
  assert [p.name for p in tmp_path.iterdir()] == ['changed.ckpt']
  arrays, expected = (
    tf_slim.read(old, 'resnet50'),
    tf_slim.read(resnet, 'resnet50'),
  )
  assert arrays.keys() == expected.keys()
  assert all((arrays[path] == expected[path]).all() for path in expected)
  digest = hashlib.sha256(pathlib.Path(old).read_bytes()).hexdigest()
  assert tf_slim.origin(old) == f'changed.ckpt SHA-256 {digest}'


@pytest.mark.parametrize(
  'name', ['resnet50', pytest.param('inception_v3', marks=pytest.mark.slow)]
)
def test_weights_fit_normalized_images(saved, name):
  images = np.random.default_rng(3).uniform(size=(1, 107, 107, 3))
  if name == 'inception_v3':
    published = 2 * images - 1
  else:
    published = 255 * images - (123.68, 116.779, 103.939)
  normalized = (images - config.IMAGENET_MEAN) / config.IMAGENET_STDDEV
  arrays = tf_slim.read(saved(name), name)
  model = models.build(name, slim_graphs.NUM_CLASSES[name], (107, 107, 3))

  def logits(source, x):
    scheme = init.schemes.transfer(source)
    init.apply(model, scheme, models.stages_of(model), seed=0)
    return np.asarray(model(x))

  expected = logits(arrays, published)
  source = types.WeightSource(tf_slim.for_named_input(arrays, name), 'TF-Slim')
  source = input_scaling.fit(source, model, tf_slim.INPUTS[name], 'imagenet')
  fitted = logits(source, normalized)
  unfitted = logits(arrays, normalized)
  # A border of another color is all that may differ.
  tolerance = 5e-3 * expected.std()
  assert np.abs(fitted - expected).max() < tolerance
  assert np.abs(unfitted - expected).max() > 2 * tolerance


def test_binary_writes_what_pretrained_takes(resnet, call, tmp_path):
  output = tmp_path / 'resnet50.npz'
  flags = (f'--checkpoint={resnet}', '--model=resnet50', f'--output={output}')
  done = call('import_slim.py', *flags)
  assert done.returncode == 0, done.stderr
  assert str(output) in done.stdout
  loaded = init.weights.load(output)
  assert loaded.input == 'caffe'
  read = tf_slim.for_named_input(tf_slim.read(resnet, 'resnet50'), 'resnet50')
  assert loaded.keys() == read.keys()
  assert all((loaded[path] == read[path]).all() for path in read)
  data = pathlib.Path(f'{resnet}.data-00000-of-00001').read_bytes()
  assert hashlib.sha256(data).hexdigest() in loaded.name
  assert [p.name for p in tmp_path.iterdir()] == ['resnet50.npz']


@pytest.mark.slow
def test_binary_leaves_the_background_out(saved, call, tmp_path):
  checkpoint, output = saved('inception_v3'), tmp_path / 'inception_v3.npz'
  done = call(
    'import_slim.py',
    f'--checkpoint={checkpoint}',
    '--model=inception_v3',
    '--normalization=imagenet',
    f'--output={output}',
  )
  assert done.returncode == 0, done.stderr
  loaded = init.weights.load(output)
  read = tf_slim.read(checkpoint, 'inception_v3')
  assert loaded.keys() == read.keys()
  for path in ('head/kernel', 'head/bias'):
    np.testing.assert_array_equal(loaded[path], read[path][..., 1:])


OPTIMIZERS = {  # Those of TF-Slim's train_image_classifier.py.
  'adadelta': lambda: tf1.train.AdadeltaOptimizer(0.1),
  'adagrad': lambda: tf1.train.AdagradOptimizer(0.1),
  'adam': lambda: tf1.train.AdamOptimizer(0.1),
  'ftrl': lambda: tf1.train.FtrlOptimizer(0.1),
  'momentum': lambda: tf1.train.MomentumOptimizer(0.1, 0.9),
  'rmsprop': lambda: tf1.train.RMSPropOptimizer(0.1, momentum=0.9),
  'sgd': lambda: tf1.train.GradientDescentOptimizer(0.1),
}
KERNEL = 'resnet_v1_50/conv1/weights'
MEAN = 'resnet_v1_50/conv1/BatchNorm/moving_mean'


def trained(optimizer, average=False):
  """{name: array} that training the first layer adds, as TensorFlow names."""
  with tf1.Graph().as_default(), tf1.Session() as session:
    weights = tf1.get_variable(KERNEL, [7, 7, 3, 64])
    mean = tf1.get_variable(MEAN, [64], trainable=False)
    given = [weights, mean]
    with tf1.control_dependencies(
      [OPTIMIZERS[optimizer]().minimize(tf.reduce_sum(weights**2))]
    ):
      if average:
        tf.train.ExponentialMovingAverage(0.5).apply(given)
    session.run(tf1.global_variables_initializer())
    added = [
      v for v in tf1.global_variables() if not any(v is g for g in given)
    ]
    return {v.op.name: session.run(v) for v in added}


def slots():
  """Those of every optimizer, in one checkpoint."""
  return {
    n: a for optimizer in OPTIMIZERS for n, a in trained(optimizer).items()
  }


def test_leaves_the_optimizers_variables_out(resnet, tmp_path):
  added = slots()
  last = {name.removeprefix(f'{KERNEL}/') for name in added}
  assert {'Momentum', 'RMSProp_1', 'Adam_1', 'Ftrl', 'beta1_power'} <= last
  checkpoint = rewrite(tmp_path, resnet, lambda a: a.update(added))
  arrays, expected = (
    tf_slim.read(path, 'resnet50') for path in (checkpoint, resnet)
  )
  assert arrays.keys() == expected.keys()
  assert all((arrays[path] == expected[path]).all() for path in expected)
  found = tf_slim.contents(checkpoint)
  assert found.slots == sorted(added)
  assert not found.averages
  assert tf_slim.contents(resnet) == (found.weights, [], {})


def test_takes_moving_averages_where_weights_have_them(resnet, tmp_path):
  added = trained('rmsprop', average=True)
  averages = {n: v for n, v in added.items() if n.endswith('MovingAverage')}
  assert len(averages) == 2
  checkpoint = rewrite(tmp_path, resnet, lambda a: a.update(added))
  raw, taken = (
    tf_slim.read(checkpoint, 'resnet50', moving_average)
    for moving_average in (False, True)
  )
  changed = [path for path in raw if not (raw[path] == taken[path]).all()]
  assert sorted(changed) == ['conv1.bn/moving_mean', 'conv1/kernel']
  np.testing.assert_array_equal(
    taken['conv1/kernel'], averages[f'{KERNEL}/ExponentialMovingAverage']
  )
  np.testing.assert_array_equal(
    taken['conv1.bn/moving_mean'], averages[f'{MEAN}/ExponentialMovingAverage']
  )
  assert all(
    (raw[p] == w).all() for p, w in tf_slim.read(resnet, 'resnet50').items()
  )


def test_refuses_moving_averages_that_are_not_there(resnet):
  with pytest.raises(errors.InputError, match='no moving averages') as caught:
    tf_slim.read(resnet, 'resnet50', moving_average=True)
  assert '\n' not in str(caught.value)


def test_a_slot_without_its_weight_is_no_slot(resnet, tmp_path):
  def change(arrays):
    arrays[f'{KERNEL}/Momentum'] = arrays.pop(KERNEL)

  checkpoint = rewrite(tmp_path, resnet, change)
  with pytest.raises(errors.InputError, match='missing: conv1/kernel'):
    tf_slim.read(checkpoint, 'resnet50')


def test_binary_says_what_it_leaves_out(resnet, call, tmp_path):
  added = trained('adam', average=True)
  checkpoint = rewrite(tmp_path, resnet, lambda a: a.update(added))

  def run(*more):
    output = tmp_path / 'weights.npz'
    done = call(
      'import_slim.py',
      f'--checkpoint={checkpoint}',
      '--model=resnet50',
      f'--output={output}',
      *more,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, init.weights.load(output)

  said, raw = run()
  # Adam's two of the kernel, and beta1_power and beta2_power.
  assert 'Left out: 4 variables of an optimizer' in said
  assert 'moving averages of 2 weights; --moving_average takes them' in said
  assert 'moving averages' not in raw.name
  said, averaged = run('--moving_average')
  assert 'Moving averages taken: 2' in said
  assert averaged.name.endswith(', moving averages)')
  assert (raw['conv1/kernel'] != averaged['conv1/kernel']).any()


def nan(arrays):
  arrays['resnet_v1_50/block2/unit_1/bottleneck_v1/conv2/weights'][0, 0] = (
    np.nan
  )


@pytest.mark.parametrize(
  'change, words',
  [
    (
      lambda a: a.pop('resnet_v1_50/block2/unit_1/bottleneck_v1/conv2/weights'),
      r'missing: block2.unit_1.conv2/kernel \[3, 3, 128, 128\]',
    ),
    (
      lambda a: a.update({'resnet_v1_50/block5/weights': np.zeros(3)}),
      r'not in resnet50: block5/kernel \[3\]',
    ),
    (
      lambda a: a.update(
        {'resnet_v1_50/conv1/weights': np.zeros((7, 7, 3, 8))}
      ),
      r'conv1/kernel \[7, 7, 3, 8\] there, \[7, 7, 3, 64\] in resnet50',
    ),
    (lambda a: a.update({'v': np.zeros(3)}), r'not in resnet50: v \[3\]'),
    (nan, r'conv2/weights \(3, 3, 128, 128\) has NaN'),
  ],
)
def test_strict_both_ways(tmp_path, resnet, change, words):
  checkpoint = rewrite(tmp_path, resnet, change)
  with pytest.raises(errors.InputError, match=words) as caught:
    tf_slim.read(checkpoint, 'resnet50')
  assert '\n' not in str(caught.value)


def test_refuses_another_architecture(resnet):
  with pytest.raises(errors.InputError, match='it is of resnet50'):
    tf_slim.read(resnet, 'inception_v3')


def test_refuses_files_that_are_cut(resnet, tmp_path):
  for suffix in ('.index', '.data-00000-of-00001'):
    prefix = rewrite(tmp_path, resnet)
    path = pathlib.Path(f'{prefix}{suffix}')
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(errors.InputError, match='damaged'):
      tf_slim.read(prefix, 'resnet50')


def test_binary_refuses_in_one_line(call, tmp_path):
  text = tmp_path / 'text.ckpt'
  text.write_text('no checkpoint')
  output = tmp_path / 'out.npz'
  for checkpoint, model, to, words in [
    (text, 'resnet50', output, 'damaged'),
    (text, 'resnet50', tmp_path / 'out.h5', '.npz'),
    (text, 'resnet50', tmp_path / 'no' / 'out.npz', 'folder'),
    (text, 'vgg16', output, 'vgg16'),
  ]:
    done = call(
      'import_slim.py',
      f'--checkpoint={checkpoint}',
      f'--model={model}',
      f'--output={to}',
    )
    assert done.returncode == 2, done
    line = done.stderr.splitlines()[-1]
    assert line.startswith('import_slim.py: '), done.stderr
    assert words in line
    assert 'Traceback' not in done.stderr
    assert not output.exists()

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
from transfusion_tf.models import graph
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

  def odd_layer(num_classes, input_shape):
    model = _trunk(input_shape, 'odd')
    model.add(layers.Dense(num_classes, name='logits<$'))
    return model

  def taken(num_classes, input_shape):
    model = _trunk(input_shape, 'resnet50')
    model.add(layers.Dense(num_classes))
    return model

  class Subclassed(keras.Model):
    def __init__(self, num_classes, **kwargs):
      super().__init__(**kwargs)
      self.conv = layers.Conv2D(4, 3, name='conv')
      self.norm = layers.BatchNormalization(name='norm')
      self.pool = layers.GlobalAveragePooling2D(name='pool')
      self.logits = layers.Dense(num_classes, name='logits')

    def call(self, x, training=False):
      x = self.norm(self.conv(x), training=training)
      return self.logits(self.pool(x))

  def subclassed(num_classes, input_shape):
    return Subclassed(num_classes, name='sub')

  def subclassed_with_stages(num_classes, input_shape):
    return subclassed(num_classes, input_shape), {
      'body': 'sub/(conv|norm)', 'head': 'sub/logits'}

  class Broken(keras.Model):
    def call(self, x):
      raise RuntimeError('not ready')

  def broken(num_classes, input_shape):
    return Broken()

  def nested(num_classes, input_shape):
    inputs = keras.Input(input_shape)
    x = layers.Conv2D(8, 3, strides=2, name='first')(inputs)
    trunk = keras.Model(inputs, x, name='trunk')
    inputs = keras.Input(trunk.output_shape[1:])
    x = layers.GlobalMaxPooling2D(name='pool')(inputs)
    x = layers.Dense(num_classes, name='logits')(x)
    classifier = keras.Model(inputs, x, name='classifier')
    inputs = keras.Input(input_shape)
    return keras.Model(inputs, classifier(trunk(inputs)), name='nested')

  def flat_end(num_classes, input_shape):
    model = _trunk(input_shape, 'flat_end')
    model.add(layers.Reshape((1, 1, 16), name='map'))
    model.add(layers.Conv2D(num_classes, 1, name='logits'))
    model.add(layers.Flatten(name='flat'))
    return model

  def sigmoid_operation(num_classes, input_shape):
    model = plain(num_classes, input_shape)
    return keras.Model(model.inputs, keras.ops.sigmoid(model.outputs[0]))

  def softmax_and_reshape(num_classes, input_shape):
    model = softmax(num_classes, input_shape)
    model.add(layers.Reshape((num_classes,)))
    return model

  def disguised(num_classes, input_shape):
    x = plain(num_classes, input_shape)
    return keras.Model(x.inputs, 1 / (1 + keras.ops.exp(-x.outputs[0])))

  def two_inputs(num_classes, input_shape):
    x = plain(num_classes, input_shape)
    other = keras.Input((num_classes,))
    return keras.Model([*x.inputs, other], x.outputs[0] + other)

  def fixed(num_classes, input_shape):
    return plain(num_classes, (64, 64, 3))

  def three(num_classes, input_shape):
    return plain(num_classes, input_shape), {}, 'more'

  def bad_pattern(num_classes, input_shape):
    return plain(num_classes, input_shape), {'all': '(', 'head': 'logits'}

  def no_mapping(num_classes, input_shape):
    return plain(num_classes, input_shape), ['first', 'logits']

  def half(num_classes, input_shape):
    keras.mixed_precision.set_global_policy('mixed_float16')
    return plain(num_classes, input_shape)

  def one_in_half(num_classes, input_shape):
    return keras.Sequential([
      keras.Input(input_shape),
      layers.Conv2D(4, 3, dtype='float16', name='small'),
      layers.Flatten(), layers.Dense(num_classes)])

  def frozen(num_classes, input_shape):
    model = plain(num_classes, input_shape)
    model.trainable = False
    return model

  def nothing(num_classes, input_shape):
    pass

  def failing(num_classes, input_shape):
    raise RuntimeError('a bug\\nof mine')

  def misusing(num_classes, input_shape):
    return layers.Conv2D(4, 3)(keras.Input((7,)))

  def other_arguments(num_classes):
    pass
"""


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
  """`own_nets` in the present folder."""
  (tmp_path / 'own_nets.py').write_text(textwrap.dedent(_MODULE))
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(sys, 'path', list(sys.path))
  before = set(sys.modules)
  yield
  for name in set(sys.modules) - before:
    if str(getattr(sys.modules[name], '__file__', '')).startswith(
      str(tmp_path)
    ):
      del sys.modules[name]


def _build(name, num_classes=5):
  return models.build(f'own_nets:{name}', num_classes, (32, 32, 3))


@pytest.mark.parametrize(
  ('name', 'expected'),
  [
    ('plain', ('body', 'head')),
    ('staged', ('conv1', 'conv2', 'head')),
    ('application', ('body', 'head')),
    ('nested', ('body', 'head')),
    ('flat_end', ('body', 'head')),
    ('subclassed_with_stages', ('body', 'head')),
  ],
)
def test_each_weight_has_a_stage(name, expected):
  model = _build(name)
  stages = models.stages_of(model)
  assert stages.names == expected
  for weight in graph.Graph(model).weights:
    assert stages.stage_of(weight.path) in expected


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
    ('own_nets:odd_layer', r"a layer called 'logits<\$', which TensorFlow"),
    ('own_nets:taken', "'resnet50', like one of ours"),
    ('own_nets:subclassed', "all weights in sub: which are its head's"),
    ('own_nets:broken', 'does not go through: RuntimeError: .*not ready'),
    ('own_nets:sigmoid_operation', 'ends with sigmoid'),
    ('own_nets:softmax_and_reshape', 'ends with softmax'),
    ('own_nets:disguised', 'ends with probabilities'),
    ('own_nets:two_inputs', 'takes 2 inputs'),
    ('own_nets:fixed', r'takes images \(64, 64, 3\), the run has \(32, 32, 3'),
    ('own_nets:three', 'returns 3 values'),
    ('own_nets:bad_pattern', "'all': '\\(' is no regular expression"),
    ('own_nets:no_mapping', 'its stages are list; must be a mapping'),
    ('own_nets:half', 'dtype policy mixed_float16; leave it to --precision'),
    ('own_nets:one_in_half', 'computes small in float16'),
    ('own_nets:frozen', 'nothing to train'),
    ('own_nets:nothing', 'NoneType, not a keras.Model'),
  ],
)
def test_what_cannot_be_used_is_refused_in_one_line(name, message):
  with pytest.raises(errors.InputError, match=message) as caught:
    models.build(name, 5, (32, 32, 3))
  assert '\n' not in str(caught.value)


def test_a_refused_policy_does_not_stay():
  with pytest.raises(errors.InputError):
    _build('half')
  assert keras.config.dtype_policy().name == 'float32'


def test_the_body_ends_before_the_head():
  """Even where layers without weights follow the head."""
  for name, body, head in (
    ('nested', 'classifier/pool', 'classifier/logits'),
    ('flat_end', 'map', 'flat'),
  ):
    found = [stage.endpoint for stage in models.stages_of(_build(name))]
    assert found == [body, head]


def test_a_network_that_changed_after_training_is_refused(data_dir, tmp_path):
  run_dir = str(tmp_path / 'run')
  experiment = prepared_sets.experiment(
    data_dir, model__name='own_nets:plain', train__train_steps=3
  )
  train_and_evaluate.run(experiment, run_dir)
  module = sys.modules['own_nets']
  trunk = module._trunk

  def wider(input_shape, name):
    model = trunk(input_shape, name)
    model.add(module.layers.ReLU(name='another'))
    return model

  module._trunk = wider  # As if edited: weights fit, the function does not.
  words = r'own_nets:plain has changed.*: it now has another \(ReLU\)'
  with pytest.raises(errors.InputError, match=words):
    run_lib.load_run(run_dir)
  with pytest.raises(errors.InputError, match=words):
    compare_runs.compare([(f'{run_dir}@init', run_dir)])
  module._trunk = trunk
  assert run_lib.load_run(run_dir)


def test_an_unfinished_run_does_not_go_on_with_another_network(
  data_dir, tmp_path
):
  run_dir = tmp_path / 'run'
  experiment = prepared_sets.experiment(
    data_dir, model__name='own_nets:staged', train__train_steps=3
  )
  train_and_evaluate.run(experiment, str(run_dir))
  (run_dir / 'result.json').unlink()
  module = sys.modules['own_nets']
  trunk = module._trunk
  module._trunk = lambda shape, name: trunk(shape, name)
  train_and_evaluate.run(experiment, str(run_dir))
  (run_dir / 'result.json').unlink()

  def changed(input_shape, name):
    model = trunk(input_shape, name)
    model.get_layer('second').activation = module.keras.activations.gelu
    return model

  module._trunk = changed
  with pytest.raises(errors.InputError, match='has activation gelu, had relu'):
    train_and_evaluate.run(experiment, str(run_dir))


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


def _line_of(text):
  lines = textwrap.dedent(_MODULE).splitlines()
  return f'own_nets.py:{1 + [text in line for line in lines].index(True)}'


@pytest.mark.parametrize(
  ('name', 'message', 'line'),
  [
    ('failing', 'raises RuntimeError: a bug of mine (', 'a bug'),
    ('misusing', 'raises ValueError: ', 'keras.Input((7,))'),
    ('other_arguments', 'raises TypeError: ', 'def other_arguments'),
  ],
)
def test_what_the_function_raises_is_one_line_with_its_place(
  name, message, line
):
  with pytest.raises(errors.InputError) as caught:
    _build(name)
  text = str(caught.value)
  assert text.startswith(f'own_nets:{name} {message}')
  assert text.endswith(f'({_line_of(line)})')
  assert '\n' not in text


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    (
      'import not_installed_anywhere',
      r"'not_installed_anywhere' \(broken.py:1",
    ),
    ('import os\n1 / 0', r'ZeroDivisionError: .*\(broken.py:2\)'),
    ('import os\ndef net(:', r'SyntaxError: .*\(broken.py:2\)'),
    ('import sys\nsys.exit("usage")', r'SystemExit: usage \(broken.py:2\)'),
  ],
)
def test_a_module_that_cannot_be_imported_is_one_line(tmp_path, text, message):
  (tmp_path / 'broken.py').write_text(text)
  # Twice: what failed is not kept.
  for _ in range(2):
    with pytest.raises(errors.InputError, match=message) as caught:
      models.build('broken:net', 5, (32, 32, 3))
    assert '\n' not in str(caught.value)


# The name of a script beside this project's packages, and of one of them.
@pytest.mark.parametrize('name', ['setup', 'tests.models', 'train', 'config'])
def test_a_module_called_like_one_of_ours_is_the_users(tmp_path, name):
  path = tmp_path.joinpath(*name.split('.')).with_suffix('.py')
  path.parent.mkdir(exist_ok=True)
  (path.parent / '__init__.py').touch()
  path.write_text(textwrap.dedent(_MODULE))
  assert models.build(f'{name}:plain', 5, (32, 32, 3)).name == 'plain'
  # Also the second time, when it is imported already.
  assert models.build(f'{name}:staged', 5, (32, 32, 3)).name == 'staged'


@pytest.mark.parametrize('name', ['statistics', 'wave', 'numpy', 'sys'])
def test_a_name_that_is_taken_is_refused(tmp_path, name):
  (tmp_path / f'{name}.py').write_text(textwrap.dedent(_MODULE))
  taken = f'the name {name} is taken by .*; rename {name}.py'
  with pytest.raises(errors.InputError, match=taken):
    models.build(f'{name}:plain', 5, (32, 32, 3))


def test_a_model_without_stages_of_ours_is_named():
  with pytest.raises(errors.InputError, match='from_patterns'):
    models.stages_of(keras.Sequential([keras.Input((4,))], name='mine'))

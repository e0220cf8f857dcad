"""Heat maps: what integrates, where the answer is known, and random weights."""

import shutil
import stat

import chain
import keras
import numpy as np
import prepared_sets
import pytest
import raw_sets
import tensorflow as tf

from data.image_table import image_table_dataset_builder
from data.image_table import layout
from transfusion_tf import tasks
from transfusion_tf.heat_maps import attribution
from transfusion_tf.heat_maps import compare
from transfusion_tf.heat_maps import making
from transfusion_tf.heat_maps import randomization
from transfusion_tf.models import graph as graph_lib
from transfusion_tf.models import stages
from transfusion_tf.run import network as network_lib
from transfusion_tf.run import train_and_evaluate

_SIDE, _SQUARE = 32, 8
_TASK = tasks.Classes(('plain', 'square'))


def _pictures(count, seed):
  """Noise, a square of finer stripes in every second; its corner, or -1."""
  rng = np.random.default_rng(seed)
  images = rng.integers(60, 160, (count, _SIDE, _SIDE, 3)).astype(np.uint8)
  corners = rng.integers(0, _SIDE - _SQUARE, (count, 2))
  for image, (y, x) in zip(images[1::2], corners[1::2], strict=True):
    image[y : y + _SQUARE, x : x + _SQUARE] = (230, 60, 60)
  corners[::2] = -1
  return images, corners


def _network(task=_TASK, model='tiny_nets:staged_net', seed=3):
  keras.utils.set_random_seed(seed)
  experiment = prepared_sets.experiment(
    'none',
    model__name=model,
    data__image_size=_SIDE,
  )
  return network_lib.Network(experiment, task)


@pytest.fixture(scope='module')
def trained():
  """A network that has learnt to find squares."""
  network = _network()
  optimizer = keras.optimizers.Adam(3e-3)
  labels = tf.constant([0, 1] * 16)

  @tf.function(autograph=False)
  def step(images):
    with tf.GradientTape() as tape:
      logits = network.model(network.prepare_evaluation(images), training=True)
      loss = tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
      )
    variables = network.model.trainable_variables
    optimizer.apply_gradients(
      zip(tape.gradient(loss, variables), variables, strict=True)
    )
    return loss

  optimizer.build(network.model.trainable_variables)
  for number in range(200):
    step(_pictures(32, number)[0])
  images, _ = _pictures(64, 1_000)
  found = network.probabilities(images).numpy().argmax(axis=1)
  assert np.mean(found == np.arange(64) % 2) > 0.95
  return network


def _attribution(network, **kwargs):
  return attribution.Attribution(
    network.model, network.stages, network.task, **kwargs
  )


@pytest.mark.parametrize(
  'model',
  ['tiny_nets:staged_net', pytest.param('cbr_tiny', marks=pytest.mark.slow)],
)
@pytest.mark.parametrize(
  'task', [_TASK, tasks.Findings(('a', 'b', 'c'), uncertain='mix')]
)
def test_integrated_gradients_add_up_to_the_change_of_the_output(model, task):
  network = _network(task, model)
  images, _ = _pictures(2, 0)
  prepared = network.prepare_evaluation(images)
  black = network.prepare_evaluation(np.zeros_like(images[:1]))[0]
  attribute = _attribution(network, num_steps=1024)
  logits = network.model(tf.stack([prepared[1], black])).numpy()
  for output in range(len(task.names)):
    change = logits[0, output] - logits[1, output]
    if task is _TASK:  # Log-odds of one of two classes.
      other = 1 - output
      change -= logits[0, other] - logits[1, other]
    maps = attribute(prepared[1], black, output)
    assert maps.gradients.shape == (_SIDE, _SIDE)
    assert abs(maps.missed) < 0.01 * max(abs(change), 0.2)
    np.testing.assert_allclose(
      maps.gradients.sum() + maps.missed, change, 1e-3, 1e-4
    )


def test_grad_cam_lights_where_the_square_is(trained):
  images, corners = _pictures(40, 2_000)
  black = trained.prepare_evaluation(np.zeros_like(images[:1]))[0]
  attribute = _attribution(trained, num_steps=1)
  assert attribute.stage == 'conv2'
  hits = []
  for image, corner in zip(images[1::2], corners[1::2], strict=True):
    prepared = trained.prepare_evaluation(image[None])[0]
    heat = compare.resized(attribute(prepared, black, 1).cam, _SIDE)
    brightest = np.array(np.unravel_index(heat.argmax(), heat.shape))
    # The places of a map are some pixels apart.
    hits.append(np.all(np.abs(brightest - corner - _SQUARE / 2) <= _SQUARE))
  assert np.mean(hits) >= 0.9


def test_a_square_holds_what_speaks_for_it(trained):
  images, corners = _pictures(40, 2_000)
  black = trained.prepare_evaluation(np.zeros_like(images[:1]))[0]
  attribute = _attribution(trained)
  shares = []
  for image, (y, x) in zip(images[1::2], corners[1::2], strict=True):
    prepared = trained.prepare_evaluation(image[None])[0]
    heat = np.abs(attribute(prepared, black, 1).gradients)
    inside = heat[y : y + _SQUARE, x : x + _SQUARE]
    shares.append(inside.mean() / heat.mean())
  assert np.median(shares) > 3


def test_grad_cam_is_that_of_its_paper():
  """By hand: of a linear head on means, weights times activations."""
  inputs = keras.Input((6, 6, 3))
  x = keras.layers.Conv2D(4, 3, activation='relu', name='conv1')(inputs)
  pooled = keras.layers.GlobalAveragePooling2D()(x)
  model = keras.Model(inputs, keras.layers.Dense(3, name='head')(pooled))
  image = tf.random.stateless_normal((6, 6, 3), (0, 1))
  found = attribution.Attribution(
    model,
    stages.Stages.from_patterns({'conv1': 'conv1', 'head': 'head'}, model),
    tasks.Findings(('a', 'b', 'c'), uncertain='mix'),
  )
  activations = keras.Model(inputs, x)(image[None])[0].numpy()
  kernel = model.get_layer('head').get_weights()[0]
  for output in range(3):
    want = np.maximum(activations @ kernel[:, output] / 16, 0)
    got = found(image, tf.zeros_like(image), output).cam
    np.testing.assert_allclose(got, want, 1e-4, 1e-6)


def test_agrees_with_the_library_of_the_authors(trained):
  """Which sums by another rule: the same maps but for that."""
  from saliency import core as saliency

  image = trained.prepare_evaluation(_pictures(2, 5)[0][1:])[0]
  black = tf.zeros_like(image)
  attribute = _attribution(trained, num_steps=256)

  def call(batch, call_model_args=None, expected_keys=None):
    batch = tf.constant(batch, tf.float32)
    with tf.GradientTape() as tape:
      tape.watch(batch)
      odds = attribute.log_odds(batch, tf.constant(1))
    return {saliency.INPUT_OUTPUT_GRADIENTS: tape.gradient(odds, batch).numpy()}

  theirs = saliency.IntegratedGradients().GetMask(
    image.numpy(), call, x_baseline=black.numpy(), x_steps=256, batch_size=64
  )
  ours = attribute(image, black, 1)
  a, b = ours.gradients.ravel(), theirs.sum(axis=-1).ravel()
  assert np.corrcoef(a, b)[0, 1] > 0.999
  change = a.sum() + ours.missed
  assert abs(ours.missed) < abs(change - b.sum())


def test_weights_are_lost_from_the_head_down_and_come_back(trained):
  before = [np.asarray(w) for w in trained.model.weights]
  changed = []
  for level in randomization.levels(trained, 2):
    lost = {
      trained.stages.stage_of(weight.path)
      for weight, old in zip(
        graph_lib.Graph(trained.model).weights, before, strict=True
      )
      if not np.array_equal(weight.variable, old)
    }
    changed.append((level, lost))
  stages = ('head', 'conv2', 'conv1')
  assert changed == [
    ((randomization.TRAINED, 0, False), set()),
    (('head', 1, False), {'head'}),
    (('conv2', 1, False), {'head', 'conv2'}),
    (('conv1', 1, True), set(stages)),
    (('conv1', 2, True), set(stages)),
  ]
  assert randomization.num_levels(trained, 2) == len(changed)
  for weight, old in zip(trained.model.weights, before, strict=True):
    np.testing.assert_array_equal(weight, old)


@pytest.fixture(scope='module')
def maps(trained):
  """Maps of a trained network, and of three with random weights."""
  images, _ = _pictures(24, 3_000)
  squares = {str(n): image for n, image in enumerate(images[1::2])}
  return [
    making.make(network, squares, 1, num_draws=4, num_steps=16)
    for network in (trained, *(_network(seed=s) for s in (3, 4, 5)))
  ]


@pytest.mark.parametrize('method', making.METHODS)
def test_the_test_tells_a_trained_network_from_a_random_one(maps, method):
  """Random weights leave less of maps of what was learnt than of others."""
  learnt, *random = (result.survival(method).trained for result in maps)
  assert learnt < np.mean(random) - 0.05


def test_a_map_that_shows_the_picture_alone_survives():
  edges = [np.random.default_rng(n).random((8, 8)) for n in range(4)]
  found = compare.survival(edges, [edges, edges])
  assert found.survives and found.trained == pytest.approx(1)
  others = [np.random.default_rng(9 + n).random((8, 8)) for n in range(8)]
  found = compare.survival(edges, [others[:4], others[4:]])
  assert not found.survives and abs(found.random) < 0.3


def test_constant_maps_are_undefined():
  flat, varied = np.zeros((8, 8)), np.arange(64.0).reshape(8, 8)
  assert np.isnan(compare.likeness(flat, varied, 16)).all()
  np.testing.assert_allclose(compare.likeness(-varied, varied, 16), 1)
  assert np.isnan(compare.survival([flat], [[varied], [varied]]).trained)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  """Pictures, and a run of seconds on them whose data set is gone."""
  root = tmp_path_factory.mktemp('run')
  table = layout.find(
    raw_sets.table(root / 'raw') / 'labels.csv', root / 'raw', layout.Columns()
  )
  builder = image_table_dataset_builder.Builder(
    name='lumps', table=table, image_size=24, data_dir=str(root / 'data')
  )
  builder.num_processes = 1
  builder.build(builder.check(root / 'raw', seed=4))
  experiment = chain.experiment(
    root / 'data',
    data__dataset='lumps',
    data__findings=(),
    model__name='tiny_nets:staged_net',
    train__train_steps=20,
  )
  train_and_evaluate.run(experiment, str(root / 'run'))
  shutil.rmtree(root / 'data')
  return root


def test_command(run, call, tmp_path):
  (run / 'raw' / 'broken.png').write_bytes(b'no picture')
  raw = run / 'raw'
  files = {p for p in raw.rglob('*') if p.is_file() and p.suffix != '.csv'}
  listed = sorted(str(p.relative_to(raw)) for p in files - {raw / 'broken.png'})
  table = tmp_path / 'wanted.txt'
  table.write_text('\n'.join(['broken.png', *listed[:3], '<b>.png']) + '\n')
  page = tmp_path / 'maps.html'
  flags = [
    *(f'--run_dir={run}/run@best', f'--images={run}/raw', f'--output={page}'),
    *('--draws=2', '--steps=8'),
  ]
  found = call('heat_maps.py', *flags, f'--table={table}')
  assert found.returncode == 0, found.stderr
  assert found.stdout.count('rank correlation with maps of random') == 2
  assert stat.S_IMODE(page.stat().st_mode) == 0o600
  text = page.read_text()
  assert "default-src 'none'" in text and '<b>.png' not in text
  # Each: the picture, and of both methods the trained one and three stages.
  assert text.count('<img') == 3 * (1 + 2 * 4)
  assert 'broken.png' in text and '&lt;b&gt;.png' in text
  assert '2 draws of' in text and 'as these are to each other' in text
  found = call('heat_maps.py', *flags, f'--table={table}', '--draws=1')
  assert found.returncode == 0, found.stderr
  text = page.read_text()
  # Nothing is said of random weights with each other, of which there are none.
  assert '1 draw of' in text and 'as these are to each other' not in text
  page.unlink()
  found = call('heat_maps.py', *flags, '--explain=lumpp')
  assert found.returncode == 2 and found.stderr.count('\n') == 1
  assert 'lumpp' in found.stderr and not page.exists()

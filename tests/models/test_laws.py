"""What holds for every network of the zoo, or is refused in one line.

docs/networks.md has the table; with --rewrite_networks, its cells of the tests
that run are written anew.
"""

import json
import pathlib
import shutil

import few_steps
import keras
import network_table
import numpy as np
import pandas as pd
import pytest
import runs
import subject as subject_lib
import tensorflow as tf
import zoo

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import init
from transfusion_tf import models
from transfusion_tf import run_folder
from transfusion_tf.analysis import endpoints
from transfusion_tf.analysis import similarity
from transfusion_tf.export import portable
from transfusion_tf.export.runtimes import litert
from transfusion_tf.init import schemes as schemes_lib
from transfusion_tf.models import custom
from transfusion_tf.models import fingerprint
from transfusion_tf.models import graph
from transfusion_tf.models import stages as stages_lib
from transfusion_tf.models import state as state_lib

_DESCRIBED = {}  # Network -> its description, of all that were built.
_FACTS = {'description': 'a network', 'pixels': 'of an image'}
_FEW = 30  # Weights of fewer values tell no statistics.


def _initialized(subject, **fields):
  """A network after a scheme, and the rows of its report by path."""
  model = subject.build()
  stages = models.stages_of(model)
  source = subject.source if fields else None
  scheme = init.from_config(config.Init(**fields), source, stages)
  report = {r['path']: r for r in init.apply(model, scheme, stages, seed=0)}
  weights = graph.Graph(model).weights
  assert list(report) == [w.path for w in weights]
  return [(w, np.asarray(w.variable), report[w.path]) for w in weights]


def schemes(subject):
  """Each sets every weight, and to what its name says."""
  fresh = {
    w.path: np.asarray(w.variable) for w in graph.Graph(subject.build()).weights
  }
  for weight, values, row in _initialized(subject):
    if weight.role == graph.BN:
      expected = schemes_lib._IDENTITY[weight.variable.name]
      assert (values == expected).all(), row
    elif values.size > _FEW and 'float' in weight.variable.dtype:
      usual = fresh[weight.path]
      assert np.std(values) == pytest.approx(np.std(usual), rel=0.5), row
      is_drawn = row['scheme'] == 'random' and np.std(usual)
      assert not (is_drawn and np.array_equal(values, usual)), row
  for name, check in _CHECKS.items():
    for weight, values, row in _initialized(
      subject, scheme=name, bn_init='transfer'
    ):
      given = subject.source[weight.path]
      if row['stage'] == stages_lib.HEAD:
        assert row['scheme'] in ('random', 'keep'), row
      elif weight.role in (graph.BN, graph.STATE) or name == 'transfer':
        np.testing.assert_array_equal(values, given, str(row))
      else:
        check(values, given)


def _check_mean_var(values, given):
  if values.size > _FEW:
    assert np.isin(values, given).mean() < 0.1  # Some by chance.
    error = given.std() / values.size**0.5
    assert abs(values.mean() - given.mean()) < 5 * error
    assert values.std() == pytest.approx(given.std(), rel=0.5)


def _check_sampling(values, given):
  assert np.isin(values, given).all()
  assert values.size < _FEW or len(np.unique(values)) < values.size


def _check_shuffled(values, given):
  np.testing.assert_array_equal(np.sort(values, None), np.sort(given, None))
  assert values.size < _FEW or (values != given).any()


_CHECKS = {
  'transfer': None,
  'mean_var': _check_mean_var,
  'sampling': _check_sampling,
  'shuffled': _check_shuffled,
}


def gabor(subject):
  """The first stage has a bank of filters of the scale of the weights given."""
  rows = _initialized(subject, scheme='transfer', conv1='gabor')
  made = [(w, v) for w, v, row in rows if row['scheme'] == 'gabor']
  assert made
  for weight, values in made:
    assert values.std() == pytest.approx(subject.source[weight.path].std())
    for channel in range(1, values.shape[2]):
      np.testing.assert_array_equal(values[:, :, 0], values[:, :, channel])


def freezing(subject):
  """Frozen weights keep every bit; all others move."""
  model = subject.random()
  stages = models.stages_of(model)
  init.freeze(model, stages, stages.names[0])
  weights = graph.Graph(model).weights
  before = {w.path: np.array(w.variable) for w in weights}
  few_steps.take(model, tf.distribute.get_strategy())
  moved = {
    w.path for w in weights if (np.asarray(w.variable) != before[w.path]).any()
  }
  trained = {w.path for w in weights if w.variable.trainable}
  frozen = {
    w.path for w in weights if stages.stage_of(w.path) == stages.names[0]
  }
  assert not moved & frozen
  assert not trained & frozen
  assert not trained - moved
  assert not few_steps.broken_constraints(model)


def replicas(subject):
  """After some steps two devices hold the same bits."""
  subject.build()
  output = subject.folder / 'replicas.json'
  subject.run_script(
    pathlib.Path(few_steps.__file__),
    subject.network.model,
    subject.network.image_size,
    output,
  )
  assert json.loads(output.read_text()) == [[], []]


def resuming(subject):
  """A run that is killed after half its steps ends with the same bits."""
  killed = subject.folder / 'killed'
  shutil.copytree(subject.run_dir, killed)
  for name in (run_folder.RESULT, run_folder.TEST_SCORES):
    (killed / name).unlink()
  shutil.rmtree(killed / run_folder.CHECKPOINTS / 'step-00000006')
  metrics = killed / run_folder.METRICS
  lines = metrics.read_text().splitlines(keepends=True)
  metrics.write_text(''.join(lines[:2]))
  assert runs.steps(killed) == [0, 3]
  subject.train(killed)
  runs.assert_same(killed, subject.run_dir)


def run_folders(subject):
  """A run that is loaded scores the test images as when it ended."""
  scores = pd.read_csv(subject.run_dir / run_folder.TEST_SCORES)
  found = subject.run.predictor()('test')
  expected = scores[list(subject.run.task.names)]
  np.testing.assert_allclose(found, expected, atol=1e-6)


def taps(subject):
  """A stage's activations depend on its weights, and on no later stage's."""
  model, images = subject.random(), subject.noise()
  stages = models.stages_of(model)
  extract = endpoints.Extractor(model, stages.names)
  weights = graph.Graph(model).weights
  start = [np.asarray(w.variable) for w in weights]
  first, rng = _arrays(extract(images)), np.random.default_rng(4)
  np.testing.assert_allclose(
    first[stages_lib.HEAD], model(images, training=False), rtol=1e-5, atol=1e-6
  )
  _assert_as_in_keras(model, stages, images, first)
  for index, name in enumerate(stages.names):
    state_lib.assign(
      model,
      [
        _changed(value, rng) if stages.stage_of(w.path) == name else value
        for w, value in zip(weights, start, strict=True)
      ],
    )
    found = _arrays(extract(images))
    for earlier in stages.names[:index]:
      np.testing.assert_array_equal(found[earlier], first[earlier], earlier)
    assert not np.allclose(found[name], first[name], rtol=1e-4), name


def _arrays(values):
  return {name: np.asarray(value) for name, value in values.items()}


def _changed(value, rng):
  if value.dtype.kind != 'f':
    return value
  return value * 1.3 + rng.uniform(0, 0.1, value.shape)


def _assert_as_in_keras(model, stages, images, found):
  calls = {layer.name: len(layer._inbound_nodes) for layer in model.layers}
  for stage in stages:
    if calls.get(stage.endpoint) == 1:
      outputs = model.get_layer(stage.endpoint).output
      expected = keras.Model(model.inputs, outputs)([images], training=False)
      np.testing.assert_allclose(
        found[stage.name], expected, rtol=1e-5, atol=1e-6, err_msg=stage.name
      )


def cca(subject):
  """A network is as similar to itself as can be."""
  model = subject.random()
  stages = models.stages_of(model)
  names = [n for n in stages.names if n != stages_lib.HEAD]
  found = similarity.compare(
    model,
    model,
    subject.noise(64),
    names,
    num_patches=256,
    num_channels=6,
    repeats=1,
  )
  for name in names:
    assert found[name].mean == pytest.approx(1, abs=1e-4), name
    assert found[name].to_json()['pwcca'] == pytest.approx(1, abs=1e-4), name


def saved_models(subject):
  loaded = tf.saved_model.load(subject.exported.directory)
  found = loaded.signatures['serve_prepared'](subject.stored)['probabilities']
  np.testing.assert_allclose(found, subject.probabilities, atol=1e-5)


def keras_files(subject):
  """Keras loads it with the classes of the user's module."""
  model = keras.models.load_model(
    _keras_file(subject),
    custom.classes(subject.run.model),
    compile=False,
    safe_mode=False,
  )
  inputs = subject.run.prepare_evaluation(subject.images)
  logits = model(inputs, training=False)
  found = subject.run.task.probabilities(logits)
  np.testing.assert_allclose(found, subject.probabilities, atol=1e-5)


def _keras_file(subject):
  path = pathlib.Path(subject.exported.directory, 'model.keras')
  if not path.exists():
    (note,) = subject.exported.notes
    raise errors.InputError(note)
  return path


def tflite_files(subject):
  path = str(subject.folder / 'model.tflite')
  runtime = litert.LiteRt()
  runtime.write(portable.network(subject.run, _FACTS), path)
  found = runtime.load(path)(np.float32(subject.images))
  np.testing.assert_allclose(found, subject.probabilities, atol=1e-5)


def fine_tuning(subject):
  """Of the exported network, with other classes: the body is the same."""
  model = subject.build(num_classes=3)
  stages = models.stages_of(model)
  normalization = subject.run.experiment.data.normalization
  source = init.weights.load(_keras_file(subject), model, normalization)
  scheme = init.from_config(config.Init('transfer'), source, stages)
  init.apply(model, scheme, stages, seed=0)
  given = {w.path: w.variable for w in graph.Graph(subject.run.model).weights}
  for weight in graph.Graph(model).weights:
    if stages.stage_of(weight.path) != stages_lib.HEAD:
      np.testing.assert_array_equal(
        weight.variable, given[weight.path], weight.path
      )
  inputs = subject.run.prepare_evaluation(subject.images)
  body = [n for n in stages.readable if n != stages_lib.HEAD]
  found, expected = (
    _arrays(endpoints.Extractor(m, body)(inputs))
    for m in (model, subject.run.model)
  )
  for name in body:
    scale = np.abs(expected[name]).max()
    np.testing.assert_allclose(found[name], expected[name], atol=1e-5 * scale)


def fingerprints(subject):
  """Of a second build the same, of every other network another."""
  described = fingerprint.describe(subject.build())
  again = fingerprint.describe(subject.build())
  assert again == described
  assert not fingerprint.differences(described, again)
  for name, other in _DESCRIBED.items():
    if name != subject.network.name:
      assert fingerprint.differences(other, again), name
  _DESCRIBED[subject.network.name] = described


_QUICK = {
  'schemes': schemes,
  'Gabor conv1': gabor,
  'freezing': freezing,
  'taps': taps,
  'CCA': cca,
  'fingerprint': fingerprints,
}
_LAWS = _QUICK | {
  'replicas': replicas,
  'resuming': resuming,
  'run folder': run_folders,
  'SavedModel': saved_models,
  '.keras': keras_files,
  'TF Lite': tflite_files,
  'fine-tuning': fine_tuning,
}


def _cases():
  for network in zoo.NETWORKS.values():
    for law in _LAWS:
      is_slow = network.is_slow or law not in _QUICK
      marks = [
        *([pytest.mark.slow] if is_slow else []),
        *([] if network.is_installed else [pytest.mark.skip(network.needs)]),
      ]
      yield pytest.param(network, law, id=f'{network.name}-{law}', marks=marks)


@pytest.fixture(scope='module')
def subject_of(data_dir, server, tmp_path_factory):
  """Network -> subject; only the last one is kept."""
  held = {}

  def get(network):
    if network not in held:
      held.clear()
      folder = tmp_path_factory.mktemp(network.name)
      held[network] = subject_lib.Subject(network, folder, data_dir, server)
    return held[network]

  return get


@pytest.fixture(scope='module')
def table(request):
  """The outcomes that docs/networks.md has."""
  is_rewritten = request.config.getoption('rewrite_networks')
  table = network_table.Table(list(zoo.NETWORKS), list(_LAWS), is_rewritten)
  yield table
  if is_rewritten:
    table.write()


@pytest.mark.parametrize(('network', 'law'), _cases())
def test_law(network, law, subject_of, table):
  subject = subject_of(network)
  try:
    _LAWS[law](subject)
    outcome = network_table.HELD
  except (errors.InputError, errors.RunError) as error:
    outcome = str(error).replace(f'{subject.folder}/export/', '')
    assert '\n' not in outcome
  table.check(network.name, law, outcome)

"""Exports: the trained network, wherever TensorFlow is, on any bytes."""

import dataclasses
import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import paths
from PIL import Image
import prepared_sets
import processes
import pytest
import raw_sets
from sklearn import metrics
import tensorflow as tf
import tensorflow_datasets as tfds

from data import images
from data.demo import retina as demo
from data.retina import retina_dataset_builder
from transfusion_tf import errors
from transfusion_tf import export
from transfusion_tf import init
from transfusion_tf import run_folder
from transfusion_tf.analysis import endpoints
from transfusion_tf.export import exporting
from transfusion_tf.export import model_card
from transfusion_tf.export import preparation
from transfusion_tf.image_ops import validate
from transfusion_tf.models import graph
from transfusion_tf.models import stages
from transfusion_tf.run import build as run_lib
from transfusion_tf.run import train_and_evaluate
from transfusion_tf.train import checkpoint

_EXPORT = paths.BIN / 'export.py'
# Not imported: its flags have names that ours have.
_SAVED_MODEL_CLI = 'tensorflow.python.tools.saved_model_cli'
_NOT_PREPARED = {
  'empty': b'',
  'not_jpeg_or_png': b'GIF89a and then',
  'damaged': b'\xff\xd8\xff\xe0 and then',
  'too_large': raw_sets.bomb(15_000),
}


@dataclasses.dataclass(frozen=True)
class _Study:
  """Raw demo data, prepared; a run on them; and its export."""

  root: pathlib.Path

  @property
  def run_dir(self):
    return str(self.root / 'run')

  @property
  def export_dir(self):
    return str(self.root / 'export')

  def run(self, which='best'):
    return run_lib.load_run(self.run_dir, which, strategy='one_device')

  @property
  def result(self):
    return run_folder.result(self.run_dir)

  def stored(self, count=10**6):
    """Encoded images of the test split, as they are stored."""
    prepared = self.run().source.prepared
    records = prepared.records('test').take(count)
    return tf.stack([prepared.parse(r)['image'] for r in records])


@pytest.fixture(scope='module')
def study(tmp_path_factory):
  study = _Study(tmp_path_factory.mktemp('study'))
  demo.write(study.root / 'raw', image_size=80, num_patients=40, seed=0)
  builder = retina_dataset_builder.Builder.from_source(
    study.root / 'data', 'kaggle', 32
  )
  builder.num_processes = 1
  builder.build(builder.check(study.root / 'raw'))
  train_and_evaluate.run(
    prepared_sets.experiment(
      study.root / 'data', train__train_steps=40, train__eval_every=20
    ),
    study.run_dir,
  )
  export.export(
    study.run(),
    study.export_dir,
    run_dir=study.run_dir,
    step=study.result['judged_step'],
    runtimes=('tflite',),
  )
  return study


@pytest.fixture(scope='module')
def loaded(study):
  return tf.saved_model.load(study.export_dir)


@pytest.fixture(scope='module')
def raw_files(study):
  """A .npy of the test images' raw files and of what is no image."""
  ids = pd.read_csv(study.root / 'run' / run_folder.TEST_SCORES)['image_id']
  files = [(study.root / 'raw' / f'{i}.jpeg').read_bytes() for i in ids]
  path = str(study.root / 'files.npy')
  np.save(path, np.array([*files, *_NOT_PREPARED.values()], object))
  return path


@pytest.fixture(scope='module')
def bare(study, raw_files):
  """What a process that has nothing but TensorFlow found in `raw_files`."""
  output = study.root / 'bare.npz'
  subprocess.run(
    [
      *(sys.executable, '-I', paths.TESTS / 'support/bare_process.py'),
      *(study.export_dir, raw_files, output),
    ],
    cwd=study.root,
    check=True,
  )
  return dict(np.load(output, allow_pickle=True))


def test_the_same_bytes_give_the_same_probabilities(study, loaded):
  found = loaded.signatures['serve_prepared'](study.stored())
  run = study.run()
  expected = run.predictor()('test')
  np.testing.assert_allclose(found['probabilities'], expected, atol=1e-6)
  scores = run.task.scores(expected)
  np.testing.assert_allclose(found['referable'], scores, atol=1e-6)
  assert set(found['status'].numpy()) == {b'ok'}
  for names in found['class_names'].numpy():
    assert names.tolist() == b'0 1 2 3 4'.split()
  assert sorted(loaded.signatures) == [
    *('activations', 'activations_prepared', 'pixels', 'pixels_prepared'),
    *('serve', 'serve_images'),
    *('serve_images_prepared', 'serve_pixels', 'serve_pixels_1'),
    *('serve_prepared', 'serving_default'),
  ]


def test_raw_files_in_a_bare_process_reach_the_auc_of_the_run(study, bare):
  expected = pd.read_csv(study.root / 'run' / run_folder.TEST_SCORES)
  scores = bare['referable'][: len(expected)]
  assert np.mean(np.abs(scores - expected['referable:score'])) < 2e-3
  auc = metrics.roc_auc_score(expected['referable:label'], scores)
  of_run = study.result['test']['referable']['value']
  assert auc == pytest.approx(of_run, abs=0.01)
  assert bare['names'].tolist() == b'0 1 2 3 4'.split()


def test_a_bad_file_fails_nobody_else(bare):
  good, bad = np.split(bare['probabilities'], [-len(_NOT_PREPARED)])
  assert (good >= 0).all() and (bad == -1).all()
  assert (bare['referable'][-len(_NOT_PREPARED) :] == -1).all()
  json.dumps(bare['probabilities'].tolist(), allow_nan=False)
  status = [s.decode() for s in bare['status']]
  assert status == ['ok'] * len(good) + list(_NOT_PREPARED)


def test_no_files_give_no_probabilities(bare):
  assert bare['none_probabilities'].shape == (0, 5)
  assert bare['none_class_names'].shape == (0, 5)
  assert bare['none_status'].shape == bare['none_referable'].shape == (0,)


def test_the_loader_of_tensorflow_1_agrees(bare):
  np.testing.assert_array_equal(bare['by_loader_of_tf1'], bare['probabilities'])


def test_saved_model_cli_agrees(study, raw_files, bare, server, tmp_path):
  done = processes.call_script(
    server,
    importlib.util.find_spec(_SAVED_MODEL_CLI).origin,
    *('run', '--dir', study.export_dir, '--tag_set', 'serve'),
    *('--signature_def', 'serve', '--inputs', f'image_bytes={raw_files}'),
    *('--outdir', tmp_path),
    cwd=tmp_path,
  )
  assert done.returncode == 0, done.stderr
  for name in ('probabilities', 'referable'):
    found = np.load(tmp_path / f'{name}.npy')
    np.testing.assert_allclose(found, bare[name], atol=1e-6)
  status = np.load(tmp_path / 'status.npy', allow_pickle=True)
  assert status.tolist() == bare['status'].tolist()


def test_pixels_give_what_their_file_gives(study, loaded, raw_files):
  stored = study.stored(4)
  pixels = tf.stack([tf.io.decode_jpeg(s) for s in stored])
  found = loaded.signatures['serve_images_prepared'](pixels)
  expected = loaded.signatures['serve_prepared'](stored)
  np.testing.assert_allclose(
    found['probabilities'], expected['probabilities'], atol=1e-6
  )
  serve, images = (loaded.signatures[n] for n in ('serve', 'serve_images'))
  raw = tf.constant(list(np.load(raw_files, allow_pickle=True)[:4]))
  pixels = [tf.io.decode_jpeg(r, dct_method='INTEGER_ACCURATE') for r in raw]
  pixels = tf.stack(pixels)
  np.testing.assert_allclose(
    images(pixels)['referable'], serve(raw)['referable'], atol=1e-6
  )
  assert images(pixels[:0])['probabilities'].shape == (0, 5)


@pytest.mark.parametrize('suffix', ['', '_prepared'])
def test_pixels_are_what_the_network_takes(study, loaded, raw_files, suffix):
  """So that another runtime answers what `serve` does."""
  files = tf.constant(list(np.load(raw_files, allow_pickle=True)))
  if suffix:
    files = study.stored()
  of_files = loaded.signatures[f'serve{suffix}'](files)
  found = loaded.signatures[f'pixels{suffix}'](files)
  assert found['status'].numpy().tolist() == of_files['status'].numpy().tolist()
  usable = found['status'] == b'ok'
  assert (tf.boolean_mask(found['pixels'], ~usable) == -1).numpy().all()
  classify = loaded.signatures['serve_pixels']
  for name, numbers in classify(
    tf.boolean_mask(found['pixels'], usable)
  ).items():
    expected = tf.boolean_mask(of_files[name], usable)
    np.testing.assert_allclose(numbers, expected, atol=1e-6)


def test_activations_are_the_networks(study, loaded):
  run, encoded = study.run(), study.stored(3)
  activations = loaded.signatures['activations_prepared']
  found = activations(tf.concat([encoded, [b'']], 0))
  # The central 29 of 32 pixels: `data.eval_crop` is 0.9.
  whole = tf.stack([tf.io.decode_jpeg(e) for e in encoded])
  images = whole[:, 1:30, 1:30]
  expected = endpoints.Extractor(run.model, run.stages.names)(
    run.prepare_evaluation(images)
  )
  assert set(found) == {*run.stages.names, 'status'}
  for name, values in expected.items():
    np.testing.assert_allclose(found[name][:3], values, atol=1e-5)
    assert np.all(found[name][3] == -1)
  assert found['status'].numpy().tolist() == [b'ok'] * 3 + [b'empty']


def test_activations_of_raw_files_are_those_of_their_pictures(
  study, loaded, raw_files
):
  raw = tf.constant(list(np.load(raw_files, allow_pickle=True)[:3]))
  run = study.run()
  prepared = preparation.from_dataset(run.source.prepared)
  read = run.source.reader.evaluation
  pictures = tf.stack([prepared.load(file, read) for file in raw])
  expected = endpoints.Extractor(run.model, run.stages.names)(
    run.prepare_evaluation(pictures)
  )
  found = loaded.signatures['activations'](raw)
  for name, values in expected.items():
    np.testing.assert_allclose(found[name], values, atol=1e-5)


def test_no_signature_guesses_what_was_prepared(study, loaded):
  """A file with the size and the loss of stored ones is prepared all the same.

  Its disc touches no side, so that preparing it changes it.
  """
  framed = Image.new('RGB', (32, 32))
  framed.paste(raw_sets.photograph(0, 20, 20), (6, 6))
  file, run = images.jpeg(framed), study.run()
  prepares = preparation.from_dataset(run.source.prepared).load
  read = run.source.reader.evaluation
  pictures = []
  for name, load in (
    ('serve', prepares),
    ('serve_prepared', preparation.load_prepared),
  ):
    pictures.append(load(file, read).numpy().astype(int))
    found = loaded.signatures[name](tf.constant([file]))['probabilities']
    expected = run.probabilities(pictures[-1][None].astype(np.uint8))
    np.testing.assert_allclose(found, expected, atol=1e-6)
  assert np.abs(pictures[0] - pictures[1]).mean() > 20


def test_weights_are_stored_once(study):
  size = sum(
    file.stat().st_size
    for file in pathlib.Path(study.export_dir, 'variables').iterdir()
  )
  assert size < 1.1 * 4 * study.run().model.count_params()


def test_training_goes_on_from_equal_weights(study, tmp_path):
  path = os.path.join(study.export_dir, exporting.KERAS)
  exported, trained = keras.models.load_model(path), study.run().model
  for found, expected in zip(exported.weights, trained.weights, strict=True):
    np.testing.assert_array_equal(found, expected)
  settings = prepared_sets.experiment(
    study.root / 'data',
    init__scheme='transfer',
    init__pretrained=path,
    train__train_steps=2,
    train__eval_every=2,
  )
  train_and_evaluate.run(settings, str(tmp_path / 'run'))
  start = checkpoint.read(str(tmp_path / 'run' / run_folder.CHECKPOINTS), 0)
  below_the_head = [
    v for v in trained.weights if not v.path.startswith(stages.HEAD)
  ]
  assert len(below_the_head) == 20
  for variable in below_the_head:
    np.testing.assert_array_equal(start[variable.path], variable)


def test_tf_lite_agrees_and_says_how_well(study):
  run, (encoded, *_) = study.run(), study.stored(1)
  interpreter = tf.lite.Interpreter(
    os.path.join(study.export_dir, 'model.tflite')
  )
  pixels = tf.io.decode_jpeg(encoded)[None]
  found = interpreter.get_signature_runner()(pixels=np.float32(pixels))
  np.testing.assert_allclose(
    found['probabilities'], run.probabilities(pixels), atol=1e-5
  )
  text = pathlib.Path(study.export_dir, exporting.CARD).read_text()
  (told,) = re.findall(r'\| model.tflite \| (\S+) \|', text)
  assert float(told) < 1e-5


def test_the_card_tells_what_the_run_found(study):
  text = pathlib.Path(study.export_dir, exporting.CARD).read_text()
  metric = study.result['test']['referable']
  values = ' to '.join(f'{metric[k]:.4f}' for k in ('low', 'high'))
  assert f'| {metric["value"]:.4f} | {values} |' in text
  for status in validate.STATUSES:
    assert f'| `{status}` |' in text
  for words in (
    'Not a medical device',
    'retina/kaggle_32',
    'not the\nwhole published set',
    'the disc of the fundus is found and fills a square of 32 pixels',
    '`serve_prepared`',
    'No signature guesses',
    f'step {study.result["judged_step"]} ',
    tf.__version__,
  ):
    assert words in text
  assert str(study.root) not in text


def test_the_cards_example_runs(study, capsys):
  text = pathlib.Path(study.export_dir, exporting.CARD).read_text()
  example = re.search(r'```python\n(.*?)```', text, re.DOTALL)[1]
  one, two, *_ = (study.root / 'raw' / 'test').iterdir()
  for name, place in (
    ('DIR', study.export_dir),
    ('one.jpeg', one),
    ('two.jpeg', two),
  ):
    assert name in example
    example = example.replace(name, str(place))
  exec(example, {})
  assert "['0', '1', '2', '3', '4']" in capsys.readouterr().out


_FINDINGS = tfds.features.FeaturesDict(
  {
    name: tfds.features.ClassLabel(
      names=['negative', 'positive', 'uncertain', 'unmentioned']
    )
    for name in ('Edema', 'Fracture')
  }
)
_OWN = """
import keras

def net(num_classes, input_shape):
  return keras.Sequential([
    keras.Input(input_shape), keras.layers.Conv2D(4, 3, name='first'),
    keras.layers.BatchNormalization(name='norm'),
    keras.layers.Dropout(0.5, name='drop'),
    keras.layers.Flatten(name='flat'),
    keras.layers.Dense(num_classes, name='logits')], name='net')
"""


def _run_of_mine(tmp_path, monkeypatch, label, value, code=_OWN):
  """An untrained run of a model and a data set that are not ours."""
  (tmp_path / 'net_of_mine.py').write_text(code)
  monkeypatch.syspath_prepend(tmp_path)
  monkeypatch.delitem(sys.modules, 'net_of_mine', raising=False)
  images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
  examples = [
    {'image': image, 'image_id': str(n), 'patient_id': str(n)}
    | dict.fromkeys(label, value)
    for n, image in enumerate(images)
  ]
  splits = dict.fromkeys(('train', 'validation', 'test'), examples)
  prepared_sets.write(tmp_path / 'data', 'mine', label, splits)
  settings = prepared_sets.experiment(
    tmp_path / 'data', data__dataset='mine', model__name='net_of_mine:net'
  )
  return run_lib.build(settings)


def test_the_keras_file_computes_what_the_run_does(study):
  """It is compared when it is exported, as the SavedModel is."""
  text = pathlib.Path(study.export_dir, exporting.CARD).read_text()
  (found,) = re.findall(rf'\| {exporting.KERAS} \| (\S+) \|', text)
  assert float(found) <= 1e-6


_OWN_LAYERS = """
import keras

class Block(keras.layers.Layer):
  def __init__(self, filters=4, **kwargs):
    super().__init__(**kwargs)
    self.conv = keras.layers.Conv2D(filters, 3, name='conv')

  def build(self, shape):
    self.conv.build(shape)

  def call(self, x):
    return self.conv(x)

class Untold(Block):
  def __init__(self, filters, **kwargs):
    super().__init__(filters, **kwargs)

  def get_config(self):
    raise NotImplementedError('no config')

def net(num_classes, input_shape):
  norm = keras.layers.Normalization(name='norm')
  norm.build((None, *input_shape))
  norm.adapt_mean.assign([1.0, 2.0, 3.0])
  norm.adapt_variance.assign([4.0, 5.0, 6.0])
  norm.finalize_state()
  return keras.Sequential([
    keras.Input(input_shape), norm, Block(name='block'),
    keras.layers.Flatten(name='flat'),
    keras.layers.Dense(num_classes, name='logits')], name='net')
"""
_TWO_CLASSES = {'label': tfds.features.ClassLabel(names=['benign', 'malign'])}


def test_layers_of_ones_own_and_their_state_are_exported(tmp_path, monkeypatch):
  run = _run_of_mine(tmp_path, monkeypatch, _TWO_CLASSES, 1, _OWN_LAYERS)
  made = export.export(run, tmp_path / 'made')
  assert made.differences[exporting.KERAS] <= 1e-6
  path = tmp_path / 'made' / exporting.KERAS
  weights = init.weights.load(path, run.model)  # With the classes of `model`.
  assert set(weights) == {w.path for w in graph.Graph(run.model).weights}
  with pytest.raises(errors.InputError, match='needs code that is not in it'):
    init.weights.load(path)


def test_a_layer_whose_name_begins_with_an_underscore_is_exported(
  tmp_path, monkeypatch
):
  code = _OWN_LAYERS.replace('class Block', 'class _Block')
  code = code.replace('(Block)', '(_Block)').replace(
    "Block(name='block')", "_Block(name='_block')"
  )
  run = _run_of_mine(tmp_path, monkeypatch, _TWO_CLASSES, 1, code)
  for folder, layers in (('stages', ()), ('layer', ['_block'])):
    export.export(run, tmp_path / folder, layers=layers)
    loaded = tf.saved_model.load(tmp_path / folder)
    found = loaded.signatures['activations'](tf.constant([b'']))
    assert set(found) == {*(layers or run.stages.readable), 'status'}


def test_what_keras_cannot_save_is_exported_without_its_file(
  tmp_path, monkeypatch
):
  code = _OWN_LAYERS.replace('Block(name=', 'Untold(4, name=')
  run = _run_of_mine(tmp_path, monkeypatch, _TWO_CLASSES, 1, code)
  made = export.export(run, tmp_path / 'made')
  assert list(made.differences) == ['SavedModel']
  assert not (tmp_path / 'made' / exporting.KERAS).exists()
  assert any('cannot save and load' in note for note in made.notes)
  text = (tmp_path / 'made' / exporting.CARD).read_text()
  assert exporting.KERAS not in text


@pytest.mark.parametrize(
  ('label', 'value'),
  [
    ({'findings': _FINDINGS}, {'Edema': 1, 'Fracture': 0}),
    ({'label': tfds.features.ClassLabel(names=['benign', 'malignant'])}, 1),
  ],
)
def test_any_task_and_model_can_be_exported(
  tmp_path, monkeypatch, label, value
):
  run = _run_of_mine(tmp_path, monkeypatch, label, value)
  made = export.export(
    run, tmp_path / 'made', layers=['first'], runtimes=['tflite']
  )
  assert made.num_checked == 5
  assert made.differences['SavedModel'] <= 1e-6
  assert made.differences['model.tflite'] <= 1e-5
  loaded = tf.saved_model.load(tmp_path / 'made')
  found = loaded.signatures['serve'](tf.constant([b'']))
  decided = {'decision', 'decision_names'} if 'label' in label else set()
  assert set(found) == {'probabilities', 'class_names', 'status'} | decided
  named = [name.decode() for name in loaded.class_names.numpy()]
  assert named == list(run.task.names)
  source = init.weights.load(tmp_path / 'made' / exporting.KERAS, run.model)
  assert source.input == run.experiment.data.normalization
  for weight in graph.Graph(run.model).weights:
    np.testing.assert_array_equal(source[weight.path], weight.variable)
  text = (tmp_path / 'made' / exporting.CARD).read_text()
  assert 'the run has not been judged' in text
  assert 'as they were in memory' in text


def test_only_an_earlier_export_is_replaced_and_by_a_whole_one(
  study, tmp_path, monkeypatch
):
  run = _run_of_mine(tmp_path, monkeypatch, {'grade': prepared_sets.GRADES}, 3)
  places = tmp_path / 'places'
  other, made = places / 'other', places / 'made'
  other.mkdir(parents=True)
  (other / 'thesis.txt').write_text('years of work')
  for overwrite in (False, True):
    with pytest.raises(errors.InputError, match='is no export'):
      export.export(run, other, overwrite=overwrite)
  assert os.listdir(other) == ['thesis.txt']
  with pytest.raises(errors.InputError, match='unknown layer'):
    export.export(run, made, layers=['frist'])
  assert os.listdir(places) == ['other']

  made.mkdir()  # An empty folder is as good as none.
  # Another checkpoint than the one that the folder's result is of.
  export.export(run, made, run_dir=study.run_dir, step=1)
  before = (made / exporting.CARD).read_text()
  assert '95 % interval |' not in before
  assert 'bin/evaluate.py --checkpoint=1' in before
  with pytest.raises(errors.InputError, match='--overwrite'):
    export.export(run, made)
  with monkeypatch.context() as patched:
    patched.setattr(model_card, 'render', lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
      export.export(run, made, overwrite=True)
  assert (made / exporting.CARD).read_text() == before
  export.export(run, made, layers=['first'], overwrite=True)
  assert (made / exporting.CARD).read_text() != before
  assert sorted(os.listdir(places)) == ['made', 'other']


@pytest.mark.slow
def test_the_binary_exports_the_checkpoint_that_was_judged(
  server, study, tmp_path
):
  flags = [f'--run_dir={study.run_dir}', f'--export_dir={tmp_path}/made']
  done = processes.Process(server, _EXPORT, flags, tmp_path / 'log')
  done.succeed()
  assert done.log.endswith(f'\nWritten: {tmp_path}/made\n')
  text = (tmp_path / 'made' / exporting.CARD).read_text()
  assert f'step {study.result["judged_step"]} ' in text
  assert 'referable (primary metric)' in text

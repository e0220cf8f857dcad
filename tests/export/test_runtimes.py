"""Files for other runtimes compute what the run does, in those runtimes."""

import json
import re
import subprocess
import sys
import zipfile

import keras
import numpy as np
import paths
import prepared_sets
import pytest
from sklearn import metrics
import tensorflow as tf

from transfusion_tf import errors
from transfusion_tf import export
from transfusion_tf.export import exporting
from transfusion_tf.export import portable
from transfusion_tf.export import runtimes as runtimes_lib
from transfusion_tf.export.runtimes import base
from transfusion_tf.run import build as run_lib
from transfusion_tf.run import train_and_evaluate

_MODULES = {
  'onnx': ('onnx', 'tf2onnx', 'onnxruntime'),
  'openvino': ('openvino',),
  'tflite': ('ai_edge_litert',),
  'tflite_int8': ('ai_edge_litert',),
}
_ROUNDED = 'tflite_int8'


@pytest.fixture(scope='module', autouse=True)
def _installed():
  for modules in _MODULES.values():
    for name in modules:
      pytest.importorskip(name, reason=f'{name} is not installed')


class _Export:
  """A run of seconds, and its export for every runtime."""

  def __init__(self, folder, data_dir, **changes):
    self.run_dir, self.folder = str(folder / 'run'), folder / 'export'
    train_and_evaluate.run(
      prepared_sets.experiment(
        data_dir,
        model__name='tiny_nets:net',
        train__train_steps=120,
        train__eval_every=60,
        **changes,
      ),
      self.run_dir,
    )
    self.run = run_lib.load_run(self.run_dir, 'best', strategy='one_device')
    self.exported = export.export(
      self.run, self.folder, runtimes=_MODULES, num_checked=0
    )
    source = self.run.source
    records = source.prepared.records('test')
    self.stored = [source.prepared.parse(r)['image'].numpy() for r in records]
    self.pixels = np.float32(
      [source.reader.evaluation(file) for file in self.stored]
    )
    self.card = (self.folder / exporting.CARD).read_text()

  def path(self, runtime):
    return str(self.folder / runtimes_lib.RUNTIMES[runtime].file)


@pytest.fixture(scope='module')
def made(tmp_path_factory, data_dir):
  return _Export(tmp_path_factory.mktemp('made'), data_dir)


def _onnx(path):
  import onnxruntime

  session = onnxruntime.InferenceSession(path)
  return lambda pixels: session.run(['probabilities'], {'pixels': pixels})[0]


def _openvino(path):
  import openvino

  exact = {'INFERENCE_PRECISION_HINT': 'f32'}
  network = openvino.Core().compile_model(path, 'CPU', exact)
  return lambda pixels: network(pixels)['probabilities']


def _litert(path):
  from ai_edge_litert import interpreter

  network = interpreter.Interpreter(path).get_signature_runner()
  return lambda pixels: network(pixels=pixels)['probabilities']


_LOAD = {
  'onnx': _onnx,
  'openvino': _openvino,
  'tflite': _litert,
  'tflite_int8': _litert,
}


@pytest.mark.parametrize('runtime', _MODULES)
def test_a_runtime_computes_what_the_card_says(made, runtime):
  found = _LOAD[runtime](made.path(runtime))(made.pixels)
  expected = made.run.predictor()('test')
  difference = np.max(np.abs(found - expected))
  assert difference < (0.1 if runtime == _ROUNDED else 1e-5)
  labels = made.run.labels('test')['grade'] >= 2
  auc = metrics.roc_auc_score(labels, made.run.task.scores(found))
  assert auc > 0.8
  file = re.escape(runtimes_lib.RUNTIMES[runtime].file)
  told, score = re.search(
    rf'\| {file} \| (\S+) \| (\S+) \|', made.card
  ).groups()
  assert float(told) == pytest.approx(difference, rel=0.05, abs=1e-6)
  assert float(score) == pytest.approx(auc, abs=1e-4)


@pytest.mark.parametrize('runtime', _MODULES)
def test_a_batch_gives_what_its_images_do(made, runtime):
  classify = _LOAD[runtime](made.path(runtime))
  whole = classify(made.pixels[:5])
  for n in range(5):
    one = classify(made.pixels[n : n + 1])
    atol = 5e-3 if runtime == _ROUNDED else 1e-6  # A step is 1 / 256.
    np.testing.assert_allclose(one[0], whole[n], atol=atol)


def test_8_bits_are_a_quarter_as_large(tmp_path, data_dir):
  run = run_lib.build(prepared_sets.experiment(data_dir))
  names = ('tflite', 'tflite_int8')
  export.export(run, tmp_path / 'made', runtimes=names)
  whole, rounded = (
    (tmp_path / 'made' / runtimes_lib.RUNTIMES[name].file).stat().st_size
    for name in names
  )
  assert rounded < 0.3 * whole


def test_tensorflow_runs_what_litert_does(made, monkeypatch):
  """Without the extra, its own interpreter reads the file."""
  from transfusion_tf.export.runtimes import litert

  expected = _litert(made.path('tflite'))(made.pixels)
  monkeypatch.setattr(litert.util, 'find_spec', lambda _: None)
  found = litert.LiteRt().load(made.path('tflite'))(made.pixels)
  np.testing.assert_allclose(found, expected, atol=1e-6)


def test_files_name_their_outputs(made):
  import onnx
  import openvino

  names = list(made.run.task.names)
  assert (made.folder / 'labels.txt').read_text().splitlines() == names
  for runtime in ('tflite', 'tflite_int8'):
    with zipfile.ZipFile(made.path(runtime)) as archive:
      assert archive.read('labels.txt').decode().splitlines() == names
  noted = {p.key: p.value for p in onnx.load(made.path('onnx')).metadata_props}
  assert json.loads(noted['class_names']) == names
  assert 'tiny_nets:net, trained on retina' in noted['description']
  network = openvino.Core().read_model(made.path('openvino'))
  assert json.loads(network.get_rt_info(['class_names']).astype(str)) == names
  labels = network.get_rt_info(['model_info', 'labels']).astype(str)
  assert labels.split() == names
  sizes = [d.dim_param or d.dim_value for d in _onnx_shape(made)]
  assert sizes == ['N', 32, 32, 3]


def _onnx_shape(made):
  import onnx

  (pixels,) = onnx.load(made.path('onnx')).graph.input
  return pixels.type.tensor_type.shape.dim


def _examples(card):
  """The card's code from the pixels on, in order."""
  _, _, rest = card.partition('## Pixels')
  return re.findall(r'```python\n(.*?)```', rest, re.DOTALL)


def test_the_cards_examples_run(made, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  for name, stored in zip(('one', 'two'), made.stored, strict=False):
    (tmp_path / f'{name}.jpeg').write_bytes(stored)
  (tmp_path / 'DIR').symlink_to(made.folder)
  expected = made.run.predictor()('test')[:2]
  read, *examples = _examples(made.card)
  names: dict = {}
  exec(read, names)
  # Pillow's decoder of JPEG is not TensorFlow's.
  assert np.abs(names['pixels'] - made.pixels[:2]).mean() < 2
  assert len(examples) == len(_MODULES)
  for example, runtime in zip(examples, _MODULES, strict=True):
    exec(example, names)
    atol = 0.1 if runtime == _ROUNDED else 0.02
    np.testing.assert_allclose(names.pop('probabilities'), expected, atol=atol)


def test_a_run_in_fewer_bits_is_exported_in_float32(tmp_path, data_dir):
  made = _Export(tmp_path, data_dir, train__precision='mixed_bfloat16')
  assert made.run.model.compute_dtype == 'bfloat16'
  for name, difference in made.exported.differences.items():
    assert difference < (0.1 if 'int8' in name else 1e-5)
  rounded = made.exported.in_training
  assert 1e-5 < rounded.difference < 0.05
  row = f'| the run, in mixed_bfloat16 | {rounded.difference:.2g} |'
  assert row in made.card
  # The weights are the same; what is computed from them is not rounded.
  exact = portable.in_float32(made.run)
  for one, two in zip(exact.model.weights, made.run.model.weights, strict=True):
    np.testing.assert_array_equal(one, two)
  found = _onnx(made.path('onnx'))(made.pixels)
  expected = exact.probabilities(made.pixels)
  np.testing.assert_allclose(found, expected, atol=1e-5)
  model = keras.models.load_model(made.folder / exporting.KERAS)
  assert model.compute_dtype == 'float32'


def test_what_is_not_installed_is_one_line(made, tmp_path, monkeypatch):
  monkeypatch.setattr(base.util, 'find_spec', lambda _: None)
  for name, extra in (('onnx', 'onnx'), ('openvino', 'openvino')):
    with pytest.raises(errors.InputError) as caught:
      export.export(made.run, tmp_path / 'other', runtimes=[name])
    assert f"pip install -e '.[{extra}]'" in str(caught.value)
    assert '\n' not in str(caught.value)
  assert not list(tmp_path.iterdir())


class Values(keras.layers.Layer):
  """Of a matrix: no runtime but TensorFlow has that operation."""

  def call(self, x):
    return tf.linalg.eigvalsh(x[:, :5, :5, 0])


def net_of_values(num_classes, input_shape):
  return keras.Sequential(
    [
      keras.Input(input_shape),
      keras.layers.Conv2D(4, 3),
      Values(),
      keras.layers.Dense(num_classes),
    ]
  )


@pytest.mark.parametrize('runtime', _MODULES)
def test_what_does_not_convert_is_one_line(tmp_path, data_dir, runtime):
  experiment = prepared_sets.experiment(
    data_dir, model__name='test_runtimes:net_of_values'
  )
  run = run_lib.build(experiment)
  with pytest.raises(errors.InputError) as caught:
    export.export(run, tmp_path / 'made', runtimes=[runtime])
  message = str(caught.value)
  assert 'does not convert to' in message and '\n' not in message
  assert message.endswith(f'export it without --{runtime}')
  assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_saved_model_converts_by_its_signature_of_pixels(made, tmp_path):
  """As users do it, with the converters' own commands."""
  expected = made.run.predictor()('test')
  file = tmp_path / 'made.onnx'
  subprocess.run(
    [
      *(sys.executable, '-m', 'tf2onnx.convert', '--output', file),
      *('--saved-model', made.folder, '--signature_def', 'serve_pixels'),
    ],
    check=True,
    capture_output=True,
  )
  np.testing.assert_allclose(_onnx(file)(made.pixels), expected, atol=1e-5)
  converter = tf.lite.TFLiteConverter.from_saved_model(
    str(made.folder), signature_keys=['serve_pixels']
  )
  file = tmp_path / 'made.tflite'
  file.write_bytes(converter.convert())
  np.testing.assert_allclose(
    _litert(str(file))(made.pixels), expected, atol=1e-5
  )


def test_one_image_has_all_its_sizes(made):
  signatures = tf.saved_model.load(str(made.folder)).signatures
  one = signatures['serve_pixels_1']
  assert one.structured_input_signature[1]['pixels'].shape == (1, 32, 32, 3)
  many = signatures['serve_pixels'](tf.constant(made.pixels))['probabilities']
  found = one(tf.constant(made.pixels[:1]))['probabilities']
  np.testing.assert_allclose(found[0], many[0], atol=1e-6)


@pytest.mark.slow
def test_it_compiles_ahead_of_time(made, tmp_path):
  tool = [sys.executable, '-m', 'tensorflow.python.tools.saved_model_cli']
  subprocess.run(
    [
      *(*tool, 'aot_compile_cpu', '--dir', made.folder, '--tag_set', 'serve'),
      *('--signature_def_key', 'serve_pixels_1', '--cpp_class', 'Network'),
      *('--output_prefix', tmp_path / 'network'),
    ],
    check=True,
    capture_output=True,
  )
  assert (tmp_path / 'network.o').stat().st_size


@pytest.mark.slow
@pytest.mark.parametrize('version', ['2.19.1', '2.20.0', '2.21.0'])
def test_bare_tensorflow_of_other_versions_computes_the_same(
  made, tmp_path, version
):
  """In an environment that has nothing else."""
  subprocess.run([sys.executable, '-m', 'venv', tmp_path / 'venv'], check=True)
  python = tmp_path / 'venv' / 'bin' / 'python'
  install = [python, '-m', 'pip', 'install', '-q', f'tensorflow-cpu=={version}']
  if subprocess.run(install, capture_output=True).returncode:
    pytest.skip(f'TensorFlow {version} cannot be installed')
  files = tmp_path / 'files.npy'
  np.save(files, np.array([*made.stored, b''], object))
  output = tmp_path / 'found.npz'
  script = paths.TESTS / 'support' / 'bare_process.py'
  subprocess.run(
    [python, '-I', script, made.folder, files, output, 'serve_prepared'],
    check=True,
  )
  with np.load(output, allow_pickle=True) as found:
    probabilities = found['probabilities']
  np.testing.assert_allclose(
    probabilities[:-1], made.run.predictor()('test'), atol=1e-5
  )
  assert (probabilities[-1] == -1).all()

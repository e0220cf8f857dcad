"""The model card: what hubs read, what only an owner knows, what is pasted."""

import pathlib
import re
import subprocess
import sys

import numpy as np
import prepared_sets
import processes
import pytest
import tensorflow_datasets as tfds
import yaml

from transfusion_tf import errors
from transfusion_tf import export
from transfusion_tf import run_folder
from transfusion_tf.export import exporting
from transfusion_tf.run import build as run_lib
from transfusion_tf.run import train_and_evaluate

_HOSTILE = (
  'a|b',
  '---',
  'x: [y',
  '<script>alert(1)</script>',
  '"quoted" \\ # and',
  '[x](javascript:alert(1))',
)
_ABOUT = export.About(
  license='Clinic license: ask "us"',
  owner='Ann <ann@example.org> | `x`',
  citation='@article{net,\n  title={A | net},\n```\n}',
  intended_use='---\\n# research',
)


def _card(directory):
  """The front matter, and the text after it."""
  text = pathlib.Path(directory, exporting.CARD).read_text('utf-8')
  empty, head, rest = text.split('---\n', 2)
  assert not empty
  return yaml.safe_load(head), rest


@pytest.fixture(scope='module')
def trained(tmp_path_factory, data_dir):
  """A run that begins with a file in an absolute path, and its export."""
  folder = tmp_path_factory.mktemp('trained')
  first = run_lib.build(
    prepared_sets.experiment(data_dir, model__name='tiny_nets:net')
  )
  (folder / 'erika_mustermann').mkdir()
  weights = str(folder / 'erika_mustermann' / 'first.keras')
  first.model.save(weights)
  run_dir = str(folder / 'run')
  train_and_evaluate.run(
    prepared_sets.experiment(
      data_dir,
      model__name='tiny_nets:net',
      init__scheme='transfer',
      init__pretrained=weights,
      init__pretrained_input='imagenet',
    ),
    run_dir,
  )
  run = run_lib.load_run(run_dir, strategy='one_device')
  step = run_folder.result(run_dir)['judged_step']
  export.export(
    run, folder / 'export', run_dir=run_dir, step=step, about=_ABOUT
  )
  return folder


def test_the_front_matter_is_what_hubs_read(trained):
  head, _ = _card(trained / 'export')
  assert head['pipeline_tag'] == 'image-classification'
  assert head['library_name'] == 'keras' and 'keras' in head['tags']
  assert head['datasets'] == ['retina']
  assert head['license'] == 'other'
  assert head['license_name'] == 'Clinic license: ask "us"'
  assert 'roc_auc' in head['metrics']
  (model,) = head['model-index']
  (result,) = model['results']
  assert result['task'] == {'type': 'image-classification'}
  assert result['dataset']['name'] == 'retina'
  scores = {metric['name']: metric for metric in result['metrics']}
  assert scores['referable']['type'] == 'roc_auc'
  assert 0 <= scores['referable']['value'] <= 1


def test_what_is_stated_is_shown_as_it_is(trained):
  _, text = _card(trained / 'export')
  assert '| owner | Ann &lt;ann@example.org&gt; \\| `x` |' in text
  assert '| intended use | ---\\n# research |' in text
  for line in _ABOUT.citation.splitlines():
    assert f'\n    {line}\n' in text
  with pytest.raises(errors.InputError, match='line break'):
    export.About(owner='two\nlines')


def test_no_folder_is_named(trained):
  _, text = _card(trained / 'export')
  assert '| init.pretrained | first.keras |' in text
  for file in (trained / 'export').rglob('*'):
    if file.is_file():
      assert b'erika_mustermann' not in file.read_bytes(), file


def test_it_says_which_class_thresholds_find(tmp_path):
  names = ['benign', 'malignant']
  rng = np.random.default_rng(0)
  examples = [
    {
      'image': rng.integers(0, 256, (32, 32, 3), np.uint8),
      'image_id': str(n),
      'patient_id': str(n),
      'label': n % 2,
    }
    for n in range(24)
  ]
  label = {'label': tfds.features.ClassLabel(names=names)}
  splits = dict.fromkeys(('train', 'validation', 'test'), examples)
  prepared_sets.write(tmp_path / 'data', 'mine', label, splits)
  experiment = prepared_sets.experiment(
    tmp_path / 'data', data__dataset='mine', model__name='tiny_nets:net'
  )
  run_dir = str(tmp_path / 'run')
  train_and_evaluate.run(experiment, run_dir)
  run = run_lib.load_run(run_dir, strategy='one_device')
  step = run_folder.result(run_dir)['judged_step']
  export.export(run, tmp_path / 'made', run_dir=run_dir, step=step)
  _, text = _card(tmp_path / 'made')
  assert '\nOutputs: benign, malignant (softmax).\n' in text
  assert 'Positive is malignant.\n\n| question |' in text


def test_nothing_is_assumed(tmp_path, data_dir):
  run = run_lib.build(
    prepared_sets.experiment(data_dir, model__name='tiny_nets:net')
  )
  export.export(run, tmp_path / 'made')
  head, text = _card(tmp_path / 'made')
  assert {'license', 'license_name', 'model-index', 'metrics'}.isdisjoint(head)
  for name in ('intended use', 'owner', 'license', 'citation'):
    assert f'| {name} | not stated |' in text


@pytest.mark.parametrize(
  ('stated', 'identifier'),
  [
    ('Apache-2.0', 'apache-2.0'),
    ('mit', 'mit'),
    ('No license at all', 'other'),
  ],
)
def test_licenses_have_identifiers(stated, identifier):
  assert export.About(license=stated).license_id == identifier


def test_names_of_classes_order_nothing(tmp_path):
  label = {'label': tfds.features.ClassLabel(names=list(_HOSTILE))}
  rng = np.random.default_rng(0)
  examples = [
    {
      'image': rng.integers(0, 256, (32, 32, 3), np.uint8),
      'image_id': str(n),
      'patient_id': str(n),
      'label': n % len(_HOSTILE),
    }
    for n in range(12)
  ]
  splits = dict.fromkeys(('train', 'validation', 'test'), examples)
  prepared_sets.write(tmp_path / 'data', 'mine', label, splits)
  run = run_lib.build(
    prepared_sets.experiment(
      tmp_path / 'data', data__dataset='mine', model__name='tiny_nets:net'
    )
  )
  export.export(run, tmp_path / 'made')
  head, text = _card(tmp_path / 'made')
  assert head['datasets'] == ['mine']
  assert '<script>' not in text and '[x](' not in text
  labels = (tmp_path / 'made' / 'labels.txt').read_text('utf-8')
  assert labels.splitlines() == list(_HOSTILE)


_LAYERS = """
import keras

class Double(keras.layers.Layer):
  def call(self, x):
    return 2 * x

def net(num_classes, input_shape):
  return keras.Sequential([
    keras.Input(input_shape), keras.layers.Conv2D(4, 3), Double(),
    keras.layers.Lambda(lambda x: x + 1),
    keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(num_classes)])
"""


def test_keras_loads_layers_of_ones_own_as_the_card_says(
  tmp_path, data_dir, server, monkeypatch
):
  (tmp_path / 'net_with_layers.py').write_text(_LAYERS)
  monkeypatch.syspath_prepend(tmp_path)
  run = run_lib.build(
    prepared_sets.experiment(data_dir, model__name='net_with_layers:net')
  )
  export.export(run, tmp_path / 'DIR')
  _, text = _card(tmp_path / 'DIR')
  (example,) = re.findall(r'```python\n(import keras.*?)```', text, re.DOTALL)
  assert "'Double': net_with_layers.Double," in example
  assert 'safe_mode=False' in example
  script = tmp_path / 'load.py'
  script.write_text(f'{example}\nprint(network.count_params())')
  done = processes.call_script(server, script, cwd=tmp_path)
  assert done.returncode == 0, done.stderr
  assert int(done.stdout.splitlines()[-1]) == run.model.count_params()


def test_keras_loads_its_own_layers_without_this_project(trained):
  _, text = _card(trained / 'export')
  (example,) = re.findall(r'```python\n(import keras.*?)```', text, re.DOTALL)
  blocked = "import sys; sys.modules['transfusion_tf'] = None\n"
  example = example.replace('DIR', str(trained / 'export'))
  assert 'custom_objects' not in example and 'safe_mode' not in example
  subprocess.run([sys.executable, '-I', '-c', blocked + example], check=True)

"""What all binaries share: help, what a run says of itself, and -v."""

import json
import os
import re
import subprocess
import sys

import paths
import prepared_sets
import pytest

from transfusion_tf import config
from transfusion_tf import flagfile


def test_help_has_a_line_for_each_flag_under_a_heading(call):
  text = call('train.py', '--help').stdout
  for flag in (*config.FLAGS, 'run_dir', 'recipe', 'flagfile'):
    assert re.search(rf'^  --(\[no\])?{flag}\b.* \w', text, re.MULTILINE), flag
  headings = re.findall(r'^(\w.*):$', text, re.MULTILINE)
  assert headings[0] == 'Needed'
  assert {'Data', 'Network', 'Start', 'Optimizer', 'Training'} < set(headings)


def test_help_shows_defaults_and_choices(call):
  text = call('study.py', '-h').stdout
  assert re.search(r'--seeds=N +Runs of each. \[3\]', text)
  assert re.search(r'--on_bad=fail\|skip +What to do', text)


@pytest.fixture(scope='module')
def finished(call, data_dir, tmp_path_factory):
  """The folder of a run by the command, and what the command printed."""
  run_dir = tmp_path_factory.mktemp('finished') / 'a run'
  done = call('train.py', *_run_flags(data_dir, run_dir))
  assert done.returncode == 0, done.stderr
  return run_dir, done


def _run_flags(data_dir, run_dir):
  return [
    *('--recipe=demo_retina', '--dataset=retina', f'--data_dir={data_dir}'),
    *(f'--run_dir={run_dir}', '--image_size=32', '--train_steps=1'),
    *('--nopictures', '--deterministic', '--strategy=one_device'),
  ]


def test_a_run_says_where_it_is_and_how_it_goes_on(finished):
  run_dir, done = finished
  assert f"tensorboard --logdir='{run_dir}'" in done.stdout
  assert f"evaluate.py --run_dir='{run_dir}'" in done.stdout
  (flagfile,) = re.findall(r"--flagfile='(.*)'/train.flags", done.stdout)
  # In a process that nobody prepared, which is as silent.
  command = (paths.BIN / 'train.py', f'--flagfile={flagfile}/train.flags')
  again = subprocess.run(
    [sys.executable, *command], capture_output=True, text=True
  )
  assert again.returncode == 0, again.stderr
  assert done.stdout.splitlines()[-1] == again.stdout.splitlines()[-1]
  assert not done.stderr and not again.stderr


@pytest.mark.parametrize('recipe', config.RECIPES)
def test_the_flagfile_of_a_run_is_the_shortest(recipe):
  experiment = config.override(
    config.RECIPES[recipe], {'seed': 3, 'runtime.data_dir': 'DATA'}
  )
  lines = flagfile.file(experiment, 'RUN')['train.flags'].splitlines()
  # What a recipe fits to the data is said; else it would be fitted again.
  values = config.flatten(experiment)
  fitted = [f for f in config.FITTED.get(recipe, ()) if values[f]]
  # recipe, run_dir, dataset, seed and data_dir.
  assert len(lines) == 5 + len(fitted)


def test_a_run_that_no_flags_make_has_no_flagfile():
  experiment = prepared_sets.experiment('DATA', data__referable_from=1)
  assert flagfile.file(experiment, 'RUN') == {}


def test_v_tells_where_an_error_comes_from(call):
  wrong = ['--dataset=x', '--data_dir=nowhere', '--run_dir=nowhere']
  verbose = call('train.py', '-v', *wrong)
  assert verbose.returncode == 2
  assert 'Traceback' in verbose.stderr
  assert verbose.stderr.splitlines()[-1].startswith('train.py: nowhere/x: ')


_NETS = """
import keras
from keras import layers

def net(num_classes, input_shape):
  return keras.Sequential([
    keras.Input(input_shape), layers.Conv2D(4, 3, strides=4),
    layers.GlobalMaxPooling2D(), layers.Dense(num_classes)])

def failing(num_classes, input_shape):
  return net(num_classes)
"""


@pytest.fixture
def train(call, data_dir, tmp_path):
  """Calls train.py for a step in a folder with a train.py of the user's."""
  (tmp_path / 'train.py').write_text(_NETS)

  def run(*flags):
    return call(
      'train.py',
      '--recipe=demo_retina',
      '--dataset=retina',
      f'--data_dir={data_dir}',
      '--run_dir=run',
      '--image_size=32',
      '--train_steps=1',
      '--nopictures',
      *flags,
      cwd=tmp_path,
    )

  return run


def test_a_users_train_py_is_not_ours(train):
  done = train('--model=train:net')
  assert done.returncode == 0, done.stderr


def test_an_error_of_a_users_function_is_one_line(train):
  done = train('--model=train:failing')
  assert done.returncode == 2
  (line,) = done.stderr.splitlines()
  assert line.startswith('train.py: train:failing raises TypeError: ')
  assert line.endswith('(train.py:11)')
  verbose = train('--model=train:failing', '-v')
  assert 'return net(num_classes)' in verbose.stderr
  assert verbose.stderr.splitlines()[-1] == line


@pytest.mark.parametrize('seed', [-1, 2**32 - 1])
def test_a_seed_that_numpy_does_not_take_is_refused(train, seed):
  done = train(f'--seed={seed}')
  assert done.returncode == 2
  (line,) = done.stderr.splitlines()
  assert f'--seed={seed}' in line
  assert '4294967294' in line


_SETTINGS = {
  'floatx': 'float16',
  'epsilon': 0.001,
  'backend': 'torch',
  'image_data_format': 'channels_first',
}


def _fresh(tmp_path, settings, name, *flags):
  """Calls a binary in a process whose user has a keras.json."""
  (tmp_path / 'keras.json').write_text(json.dumps(settings))
  return subprocess.run(
    [sys.executable, paths.BIN / name, *flags],
    env=os.environ | {'KERAS_HOME': str(tmp_path), 'KERAS_BACKEND': 'jax'},
    capture_output=True,
    text=True,
  )


def test_a_users_keras_json_changes_no_network(finished, data_dir, tmp_path):
  """The network is that of a process which began without one."""
  runs = [finished[0], tmp_path / 'with']
  flags = _run_flags(data_dir, runs[1])
  done = _fresh(tmp_path, _SETTINGS, 'train.py', *flags)
  assert done.returncode == 0, done.stderr
  assert not done.stderr
  for name in ('init.json', 'metrics.jsonl', 'test_scores.csv'):
    assert len({(run / name).read_bytes() for run in runs}) == 1, name


@pytest.mark.parametrize(
  ('name', 'flags'),
  [
    ('train.py', ('--dataset=x', '--data_dir=x', '--run_dir=x')),
    (
      'import_slim.py',
      ('--model=resnet50', '--checkpoint=x', '--output=x.npz'),
    ),
  ],
)
def test_a_keras_json_that_keras_cannot_read_is_one_line(tmp_path, name, flags):
  done = _fresh(tmp_path, {'floatx': 'float8'}, name, *flags)
  assert done.returncode == 2
  (line,) = done.stderr.splitlines()
  assert str(tmp_path / 'keras.json') in line
  assert 'correct or delete' in line


def test_a_path_that_cannot_be_is_one_line(call, tmp_path):
  """Whatever it is found out by: here, by the folder of the report."""
  file = tmp_path / 'file'
  file.write_text('')
  done = call('make_demo_data.py', f'--raw_dir={file}', '--num_natural=16')
  assert done.returncode == 2
  assert done.stderr.splitlines() == [f'make_demo_data.py: {file}: File exists']


def test_devices_are_no_flagfiles(call):
  done = call('train.py', '--flagfile=/dev/zero')
  assert done.returncode == 2
  assert done.stderr == 'train.py: --flagfile: /dev/zero is a device\n'

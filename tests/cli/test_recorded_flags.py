"""A study that is continued by its folder alone, and gets more seeds."""

import json
import os
import sys

from absl import flags
from absl.testing import flagsaver
import pytest

from transfusion_tf import errors
from transfusion_tf.cli import recorded_flags
from transfusion_tf.cli import study as study_cli

_STUDY = ('--models=cbr_tiny', '--inits=random', '--noprobes')


def _command(root, *arguments):
  """What a new process makes of flags."""
  for flag in flags.FLAGS.get_key_flags_for_module(study_cli.__name__):
    flag.unparse()
  flags.FLAGS([sys.argv[0], f'--output_dir={root}', *arguments])
  return recorded_flags.Command(str(root), study_cli.__name__)


@pytest.fixture(autouse=True)
def _flags():
  with flagsaver.flagsaver():
    yield


@pytest.fixture
def root(tmp_path, monkeypatch):
  """The folder of a study of three seeds, with its report."""
  monkeypatch.chdir(tmp_path)
  command = _command('study', *_STUDY, '--seeds=3', '--num_processes=2')
  command.begin()
  command.end(3)
  return 'study'


def _num_seeds(command):
  command.begin()
  return flags.FLAGS.seeds


def test_the_folder_alone_brings_the_flags(root):
  command = _command(root)
  assert command.continues
  assert flags.FLAGS.models == ['cbr_tiny']
  assert not flags.FLAGS.probes
  assert (flags.FLAGS.seeds, flags.FLAGS.num_processes) == (3, 2)
  text = open('study/flags.txt').read()
  command.begin()
  assert open('study/flags.txt').read() == text


def test_it_is_a_flagfile(root):
  flags.FLAGS([sys.argv[0], '--flagfile=study/flags.txt', '--seeds=5'])
  assert (flags.FLAGS.seeds, flags.FLAGS.inits) == (5, ['random'])


def test_a_session_may_have_other_processes(root):
  assert _num_seeds(_command(root, '--num_processes=1')) == 3
  assert flags.FLAGS.num_processes == 1


def test_a_plan_is_of_the_recorded_study_and_is_not_recorded(root):
  command = _command(root, '--plan', '--plan_devices=4', '--plan_costs=pilot')
  assert command.continues
  assert flags.FLAGS.plan
  assert flags.FLAGS.models == ['cbr_tiny']
  command.begin()
  assert '--plan' not in open('study/flags.txt').read()


def test_from_elsewhere_paths_are_those_of_the_first_command(
  root, tmp_path, monkeypatch
):
  (tmp_path / 'other').mkdir()
  monkeypatch.chdir(tmp_path / 'other')
  command = _command('../study')
  assert command.root == 'study'
  assert os.getcwd() == str(tmp_path)


def test_a_folder_that_has_moved_is_the_one_that_is_given(root, tmp_path):
  os.rename('study', 'moved')
  assert _command('moved').root == str(tmp_path / 'moved')


def test_more_seeds_are_added_once(root):
  assert _num_seeds(_command(root, '--more_seeds=2')) == 5
  # Stopped before the report: the same command goes on, and so does the folder.
  assert _num_seeds(_command(root, '--more_seeds=2')) == 5
  command = _command(root)
  assert _num_seeds(command) == 5
  command.end(5)
  assert _num_seeds(_command(root, '--more_seeds=2')) == 7


def test_the_first_command_takes_what_was_added(root):
  _num_seeds(_command(root, '--more_seeds=2'))
  command = _command(root, *_STUDY, '--seeds=3')
  assert not command.continues
  assert _num_seeds(command) == 5


def test_other_flags_make_another_study(root, capsys):
  _num_seeds(_command(root, '--more_seeds=2'))
  assert _num_seeds(_command(root, *_STUDY, '--margin=0.02')) == 3
  assert '--seeds=5 takes them all' in capsys.readouterr().out
  assert 'margin' in open('study/flags.txt').read()
  assert _num_seeds(_command(root)) == 3


def test_a_limit_is_not_that_of_more_seeds(root):
  _command(root, *_STUDY, '--seeds=3', '--time_limit=1h').begin()
  _command(root)
  assert flags.FLAGS.time_limit == '1h'
  _command(root, '--more_seeds=1')
  assert flags.FLAGS.time_limit is None
  _command(root, '--more_seeds=1', '--time_limit=2h')
  assert flags.FLAGS.time_limit == '2h'


def test_what_is_refused(root, tmp_path):
  with pytest.raises(errors.InputError, match='leave out --margin, --models'):
    _command(root, '--more_seeds=1', '--models=resnet50', '--margin=0.1')
  for arguments in ((), ('--more_seeds=1',)):
    with pytest.raises(errors.InputError, match='no study to continue'):
      _command(tmp_path / 'empty', *arguments)
  assert not (tmp_path / 'empty').exists()


@pytest.mark.slow
def test_a_study_gets_more_seeds(data_dir, call, tmp_path):
  def study(*arguments):
    return call('study.py', '--output_dir=study', *arguments, cwd=tmp_path)

  done = study(
    '--dataset=retina',
    f'--data_dir={data_dir}',
    '--recipe=demo_retina',
    '--image_size=32',
    '--models=cbr_tiny',
    '--inits=random',
    '--seeds=2',
    '--epochs=1',
    '--batch_size=8',
    '--noprobes',
    '--nolocate_benefit',
  )
  assert done.returncode == 0, done.stderr
  record = tmp_path / 'study' / 'seeds.json'
  assert json.loads(record.read_text()) == {'reported': 2, 'seeds': 2}
  done = study('--more_seeds=1')
  assert done.returncode == 0, done.stderr
  assert 'finished, 3 of 3' in done.stdout
  assert json.loads(record.read_text()) == {'reported': 3, 'seeds': 3}
  done = study()
  assert done.returncode == 0, done.stderr
  assert 'finished,' not in done.stdout
  refused = study('--more_seeds=1', '--seeds=4')
  assert refused.returncode == 2
  assert refused.stderr.count('\n') == 1

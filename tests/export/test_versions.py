"""Folders of versions, as TF Serving polls them."""

import os
import threading

import prepared_sets
import pytest

from transfusion_tf import errors
from transfusion_tf import export
from transfusion_tf.export import export_folder
from transfusion_tf.export.serving import versions
from transfusion_tf.run import build as run_lib


@pytest.mark.parametrize(
  ('existing', 'version', 'made'),
  [
    ([], 'next', '1'),
    ([], '7', '7'),
    (['1', '2'], 'next', '3'),
    (['9', '10'], 'next', '11'),
    # Leading zeros are numbers to TF Serving, and half an export is none.
    (['00000123', '7.0f.partial', 'notes', '-5', '²'], 'next', '124'),
    (['2'], '1', '1'),
    ([], '9223372036854775807', '9223372036854775807'),
  ],
)
def test_a_version_has_a_folder_of_its_number(
  tmp_path, existing, version, made
):
  for name in existing:
    (tmp_path / name).mkdir()
  found = versions.folder(str(tmp_path), version)
  assert found == str(tmp_path / made) and not os.path.exists(found)


def test_the_first_version_makes_the_folder_of_all(tmp_path):
  model_dir = str(tmp_path / 'MODEL')
  assert versions.folder(model_dir, 'next') == f'{model_dir}/1'


@pytest.mark.parametrize(
  ('version', 'complaint'),
  [
    ('3', 'has a version 3, and servers do not load a version twice'),
    ('03', 'has a version 3'),
    ('0', 'a version is a number from 1 to 9223372036854775807, or next'),
    ('-1', 'a version is a number'),
    ('1.0', 'a version is a number'),
    ('٣', 'a version is a number'),
    ('newest', 'a version is a number'),
    ('9223372036854775808', 'a version is a number'),
    ('9' * 5000, 'a version is a number'),
  ],
)
def test_other_versions_are_refused(tmp_path, version, complaint):
  (tmp_path / '3').mkdir()
  with pytest.raises(errors.InputError, match=complaint):
    versions.folder(str(tmp_path), version)


def test_nothing_comes_after_the_last_number(tmp_path):
  (tmp_path / str(2**63 - 1)).mkdir()
  with pytest.raises(errors.InputError, match='a version is a number'):
    versions.folder(str(tmp_path), 'next')


def test_an_export_holds_no_versions(tmp_path):
  (tmp_path / export_folder.CARD).write_text('# A network')
  with pytest.raises(errors.InputError, match='is an export'):
    versions.folder(str(tmp_path), 'next')


def test_the_newest_is_the_highest_that_is_complete(tmp_path):
  for name in ('2', '10', '11', 'notes'):
    (tmp_path / name).mkdir()
  for name in ('2', '10', 'notes'):
    (tmp_path / name / export_folder.GRAPH).touch()
  assert versions.newest(str(tmp_path)) == str(tmp_path / '10')
  # What is no folder of versions stays what it is.
  for folder in (tmp_path / '2', tmp_path / '11', tmp_path / 'nowhere'):
    assert versions.newest(str(folder)) == str(folder)


class _Poller(threading.Thread):
  """Lists a folder all the time; notes what each version holds at first."""

  def __init__(self, model_dir):
    super().__init__(daemon=True)
    self._model_dir = model_dir
    self._ended = threading.Event()
    self.polls, self.seen = 0, {}

  def run(self):
    while not self._ended.wait(0.0005):
      self.polls += 1
      for name in os.listdir(self._model_dir):
        if name.isdecimal() and name not in self.seen:
          self.seen[name] = _files(self._model_dir / name)

  def end(self):
    self._ended.set()
    self.join()


def _files(folder):
  return {
    str(path.relative_to(folder)): path.stat().st_size
    for path in folder.rglob('*')
    if path.is_file()
  }


def test_a_server_that_polls_sees_whole_versions(tmp_path, data_dir):
  run = run_lib.build(
    prepared_sets.experiment(data_dir, model__name='tiny_nets:net')
  )
  poller = _Poller(tmp_path)
  poller.start()
  made = [
    export.export(run, versions.folder(str(tmp_path), 'next'), num_checked=4)
    for _ in range(2)
  ]
  poller.end()
  assert poller.polls > 100
  assert sorted(os.listdir(tmp_path)) == ['1', '2']
  for version in made:
    name = os.path.basename(version.directory)
    assert poller.seen[name] == _files(tmp_path / name)
    assert 'saved_model.pb' in poller.seen[name]


@pytest.mark.parametrize(
  ('flags', 'complaint'),
  [
    (['--version=1'], 'has a version 1, and servers'),
    (['--version=next', '--overwrite'], '--overwrite replaces no version'),
    (['--version=latest'], '--version=latest: a version is a number'),
  ],
)
def test_the_command_refuses_in_one_line(call, tmp_path, flags, complaint):
  (tmp_path / '1').mkdir()
  done = call('export.py', '--run_dir=x', f'--export_dir={tmp_path}', *flags)
  assert done.returncode == 2
  assert done.stderr.count('\n') == 1 and complaint in done.stderr
  assert os.listdir(tmp_path) == ['1']

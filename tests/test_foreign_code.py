"""No file that comes from elsewhere says which module is imported."""

import json
import shutil

import prepared_sets
import pytest

from transfusion_tf import errors
from transfusion_tf import models
from transfusion_tf.init import weights
from transfusion_tf.input_pipeline import tfds_folder

_EVIL = 'evil_features.Evil'


@pytest.fixture
def evil(tmp_path, monkeypatch):
  """A module of the present folder that says when it is imported."""
  monkeypatch.chdir(tmp_path)
  monkeypatch.syspath_prepend(tmp_path)
  (tmp_path / 'evil_features.py').write_text(
    "import pathlib\npathlib.Path('imported').touch()\n"
  )
  return tmp_path / 'imported'


def _rename(value):
  """Rename all classes; also to the older form of the file."""
  if isinstance(value, dict):
    return {
      key: _EVIL if key == 'pythonClassName' else _rename(part)
      for key, part in value.items()
    }
  return value


@pytest.mark.parametrize('legacy', [False, True])
def test_features_import_no_module(legacy, evil, tmp_path):
  prepared_sets.write_spots(tmp_path / 'data')
  (path,) = (tmp_path / 'data').rglob('features.json')
  features = _rename(json.loads(path.read_text()))
  if legacy:
    features = {'type': _EVIL, 'content': {}}
  path.write_text(json.dumps(features))
  with pytest.raises(errors.InputError, match=_EVIL):
    tfds_folder.open_dataset(str(tmp_path / 'data'), 'retina')
  assert not evil.exists()


@pytest.mark.parametrize('text', ['', '{', '[' * 100_000, '\xff'])
def test_damaged_features_are_one_line(text, data_dir, tmp_path):
  shutil.copytree(data_dir, tmp_path / 'data')
  (path,) = (tmp_path / 'data').rglob('features.json')
  path.write_text(text)
  with pytest.raises(errors.InputError, match='prepare the data set again'):
    tfds_folder.open_dataset(str(tmp_path / 'data'), 'retina')


@pytest.mark.parametrize('name', ['os:abort', 'os:getcwd', 'shutil:rmtree'])
def test_functions_of_python_are_no_networks(name):
  with pytest.raises(errors.InputError, match='a module of Python'):
    models.build(name, 2, (32, 32, 3))
  with pytest.raises(errors.InputError, match='a module of Python'):
    weights.load(name)

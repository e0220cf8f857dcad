"""The rooms: what may import what, what is installed, how binaries answer."""

import ast
import resource
import subprocess
import sys

import paths
import pytest

_PACKAGE = paths.ROOT / 'transfusion_tf'
_BINARIES = sorted(
  path for path in paths.BIN.glob('*.py') if '.run()' in path.read_text()
)

# A room or module imports only from those before it.
_ORDER = (
  *('shown_text', 'errors', 'output_names', 'cores', 'memory', 'tpu_settings'),
  'startup',
  *(
    'stop_signals',
    'scratch',
    'storage',
    *('atomic_folder', 'parquet_file'),
    'json_file',
    'lease',
    'templates',
    'datasets',
    'config',
  ),
  'flagfile',
  *('models', 'metrics', 'tasks', 'decisions'),
  *('label_map', 'image_ops', 'input_pipeline', 'data_export', 'train'),
  'run_folder',
  *('init', 'run', 'tpu', 'analysis'),
  *('study', 'paper', 'export', 'predict', 'heat_maps', 'cli'),
)


def _imports(path):
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.ImportFrom) and not node.level:
      for alias in node.names:
        yield f'{node.module}.{alias.name}'
    elif isinstance(node, ast.Import):
      for alias in node.names:
        yield alias.name


def test_every_module_is_in_the_order():
  found = {path.stem for path in _PACKAGE.iterdir() if path.stem[0] != '_'}
  assert found == set(_ORDER)


@pytest.mark.parametrize('room', _ORDER)
def test_rooms_import_in_one_direction(room):
  path = _PACKAGE / room
  files = path.rglob('*.py') if path.is_dir() else [path.with_suffix('.py')]
  allowed = set(_ORDER[: _ORDER.index(room) + 1])
  # Two rooms that nothing but `cli` may know.
  allowed -= {'paper', 'export'} - {room} if room != 'cli' else set()
  for file in files:
    used = {
      name.split('.')[1]
      for name in _imports(file)
      if name.startswith('transfusion_tf.')
    }
    assert used <= allowed, file


def test_nothing_installed_imports_bin_or_data():
  for file in _PACKAGE.rglob('*.py'):
    if file.is_relative_to(_PACKAGE / 'cli'):  # Commands that build data sets.
      continue
    for name in _imports(file):
      assert name.split('.')[0] not in ('bin', 'data'), file


def test_only_the_two_packages_are_installed(tmp_path):
  """A wheel of this tree holds transfusion_tf and svcca, nothing else."""
  listing = subprocess.run(
    [
      sys.executable,
      '-c',
      'import setuptools, runpy; '
      'setuptools.setup = lambda **k: print(*k["packages"], sep="\\n"); '
      'runpy.run_path("setup.py")',
    ],
    cwd=paths.ROOT,
    capture_output=True,
    text=True,
    check=True,
  )
  top = {name.split('.')[0] for name in listing.stdout.split()}
  assert top == {'transfusion_tf', 'svcca'}


def test_a_source_archive_is_a_clone(tmp_path):
  """With what builds data sets, and the license of code that others wrote."""
  subprocess.run(
    [sys.executable, 'setup.py', '-q', 'egg_info', '--egg-base', tmp_path],
    cwd=paths.ROOT,
    check=True,
  )
  (made,) = tmp_path.iterdir()
  listed = set((made / 'SOURCES.txt').read_text('utf-8').splitlines())
  for room in ('bin', 'data', 'third_party', 'transfusion_tf'):
    for file in (paths.ROOT / room).rglob('*'):
      if file.is_file() and file.suffix != '.pyc':
        assert str(file.relative_to(paths.ROOT)) in listed
  assert {'constraints.txt', 'CHANGELOG.md'} <= listed
  metadata = (made / 'PKG-INFO').read_text('utf-8')
  assert 'License-File: third_party/svcca/LICENSE' in metadata


def test_both_wheels_are_tested_with_the_same_versions():
  """But for TensorFlow itself, and what comes with it."""
  usual, tpu = (
    dict(
      line.split('==')
      for line in (paths.ROOT / name).read_text('utf-8').splitlines()
      if not line.startswith('#')
    )
    for name in ('constraints.txt', 'constraints-tpu.txt')
  )
  own = {'tensorflow_tpu', 'libtpu'}
  assert tpu.keys() - usual.keys() <= own
  differing = {name for name in tpu.keys() - own if tpu[name] != usual[name]}
  assert differing == {'tensorboard'}


@pytest.mark.parametrize('binary', _BINARIES, ids=lambda path: path.name)
def test_help_answers_at_once_and_shows_an_example(binary):
  before = resource.getrusage(resource.RUSAGE_CHILDREN)
  found = subprocess.run(
    [sys.executable, binary, '--help'], capture_output=True, text=True
  )
  after = resource.getrusage(resource.RUSAGE_CHILDREN)
  assert f'python bin/{binary.name}' in found.stdout
  # A third of a second; TensorFlow's import alone takes four.
  assert after.ru_utime - before.ru_utime < 1.5


@pytest.mark.parametrize('binary', _BINARIES, ids=lambda path: path.name)
def test_an_unknown_flag_is_one_line(binary):
  found = subprocess.run(
    [sys.executable, binary, '--color=blue'], capture_output=True, text=True
  )
  assert found.returncode == 2
  assert found.stderr.count('\n') == 1
  assert 'color' in found.stderr


def test_the_tree_names_no_place_of_its_making():
  skipped = ('.git', '.venv', 'build', 'demo', 'runs')
  rooms = [room for room in paths.ROOT.iterdir() if room.name not in skipped]
  for file in (f for room in rooms for f in (room, *room.rglob('*'))):
    if file.suffix in ('.py', '.md', '.sh', '.toml', '.txt', '.html'):
      text = file.read_text()
      for word in ('/wo' + 'rk/', '../sha' + 'red', '/tmp/brie' + 'f'):
        assert word not in text, (file, word)

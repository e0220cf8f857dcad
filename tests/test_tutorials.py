"""The tutorials run, and what a reader of them sees is what they give.

Their cells assert what they teach, so that one that runs holds. After a change:

  jupyter execute --inplace tests/tutorials/NAME.ipynb
"""

import re
import sys

from jupyter_client import kernelspec
from jupyter_client import manager
import nbclient
import nbformat
import paths
import pytest
import traitlets

_FOLDER = paths.TESTS / 'tutorials'
# Other tests walk the paths of the longer ones.
_NAMES = [
  pytest.param('demo_study', marks=pytest.mark.slow),
  pytest.param('scheme_on_your_model', marks=pytest.mark.slow),
  'svcca_of_two_models',
]
_ALL = sorted(_FOLDER.glob('*.ipynb'))
_MOST_BYTES = 250_000


class _ThisPython(manager.AsyncKernelManager):
  """Kernels of the tests' interpreter, whatever others a user installed."""

  @traitlets.default('kernel_spec_manager')
  def _of_no_folder(self):
    return kernelspec.KernelSpecManager(kernel_dirs=[])


def _read(path):
  return nbformat.read(path, as_version=4)


def _code(notebook):
  return [cell for cell in notebook.cells if cell.cell_type == 'code']


def _kinds(cell):
  """What a cell shows, without the figures, which change in the last digit."""
  return [
    (output.output_type, output.get('name'), sorted(output.get('data', {})))
    for output in cell.outputs
  ]


def _tree():
  return set(_FOLDER.rglob('*'))


@pytest.mark.timeout(900)
@pytest.mark.parametrize('name', _NAMES)
def test_runs_and_shows_what_is_committed(name, tmp_path, monkeypatch):
  committed = _read(_FOLDER / f'{name}.ipynb')
  notebook = _read(_FOLDER / f'{name}.ipynb')
  before = _tree()
  monkeypatch.setenv('TMPDIR', str(tmp_path))
  nbclient.NotebookClient(
    notebook,
    kernel_manager_class=_ThisPython,
    resources={'metadata': {'path': str(_FOLDER)}},
    coalesce_streams=True,
    timeout=600,  # Seconds a cell.
  ).execute()
  for old, new in zip(_code(committed), _code(notebook), strict=True):
    assert _kinds(new) == _kinds(old), old.source
  assert _tree() == before
  assert not list(tmp_path.glob('tutorial_*'))  # The scratch folder is gone.


def test_the_kernel_is_this_python(tmp_path):
  notebook = nbformat.v4.new_notebook(
    cells=[nbformat.v4.new_code_cell('import sys\nprint(sys.executable)')]
  )
  nbclient.NotebookClient(
    notebook,
    kernel_manager_class=_ThisPython,
    resources={'metadata': {'path': str(tmp_path)}},
  ).execute()
  (output,) = notebook.cells[0].outputs
  assert output.text.strip() == sys.executable


def test_each_is_run():
  ids = [getattr(name, 'values', (name,))[0] for name in _NAMES]
  assert ids == [path.stem for path in _ALL]


@pytest.mark.parametrize('path', _ALL, ids=lambda path: path.stem)
def test_is_committed_as_it_ran(path):
  """Executed once, from the first cell to the last, without a warning."""
  notebook = _read(path)
  nbformat.validate(notebook)
  cells = _code(notebook)
  counts = [cell.execution_count for cell in cells]
  assert counts == list(range(1, len(cells) + 1))
  assert any('assert ' in cell.source for cell in cells)
  outputs = [output for cell in cells for output in cell.outputs]
  assert any('image/png' in output.get('data', {}) for output in outputs)
  for output in outputs:
    assert output.output_type != 'error'
    assert output.get('name') != 'stderr', output.text
  assert path.stat().st_size < _MOST_BYTES


@pytest.mark.parametrize('path', _ALL, ids=lambda path: path.stem)
def test_names_no_absolute_path(path):
  texts = []
  for cell in _read(path).cells:
    texts.append(cell.source)
    for output in cell.get('outputs', []):
      texts.append(output.get('text', ''))
      data = output.get('data', {})
      texts += [data[kind] for kind in data if kind.startswith('text/')]
  for text in texts:
    # A slash that begins a word, as in `/home/...`, `~/...` or `C:\...`.
    found = re.search(r'(?:^|[\s\'"(=~])/\w+/|\b[A-Z]:\\', text)
    assert not found, text[found.start() :][:80]

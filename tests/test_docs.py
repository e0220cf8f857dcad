"""The documents: links and flags that exist, a site without warnings."""

import functools
import re
import subprocess
import sys

import paths
import pytest

_DOCS = paths.ROOT / 'docs'
_PAGES = [
  *(
    paths.ROOT / name
    for name in ('README.md', 'CONTRIBUTING.md', 'CHANGELOG.md')
  ),
  paths.ROOT / 'data' / 'README.md',
  *sorted(_DOCS.rglob('*.md')),
]
# The CHANGELOG may speak of flags that are gone.
_MANUALS = [page for page in _PAGES if page.name != 'CHANGELOG.md']
_COMMANDS = sorted(path.stem for path in paths.BIN.glob('*.py'))
# Flags of other programs, or of every command.
_FOREIGN = {'logdir', 'load_fast', 'flagfile', 'help', 'helpfull'}
_FOREIGN_LINES = ('#SBATCH', 'saved_model_cli')


def _id(path):
  return str(path.relative_to(paths.ROOT))


@functools.cache
def _flags(command):
  """The flags that --help of a command lists."""
  help_text = subprocess.run(
    [sys.executable, paths.ROOT / 'bin' / f'{command}.py', '--help'],
    capture_output=True,
    text=True,
    check=True,
  ).stdout
  flags = set()
  for no, name in re.findall(r'^  --(\[no\])?(\w+)', help_text, re.MULTILINE):
    flags |= {name, f'no{name}'} if no else {name}
  return flags


def _lines(page):
  """The lines of a page, those that a backslash joins as one."""
  text = page.read_text(encoding='utf-8').replace('\\\n', ' ')
  return [
    line
    for line in text.splitlines()
    if not any(word in line for word in _FOREIGN_LINES)
  ]


def _uses(line):
  """Each command that a line names, with each flag that it gives it."""
  _, *parts = re.split(r'(\w+)\.py\b', line)
  for command, rest in zip(parts[::2], parts[1::2], strict=True):
    code = re.split(r'[`|;>]', rest)[0]
    for flag in re.findall(r'(?<!\S)--(\w+)', code):
      if command in _COMMANDS:
        yield command, flag


def _slugs(page):
  """The anchors of a page's headings."""
  titles = re.findall(r'^#+ (.*)$', page.read_text('utf-8'), re.MULTILINE)
  return {re.sub(r'[^\w\- ]', '', t).lower().replace(' ', '-') for t in titles}


def test_the_readme_is_short():
  assert len((paths.ROOT / 'README.md').read_text('utf-8').splitlines()) <= 250


@pytest.mark.parametrize('page', _PAGES, ids=_id)
def test_links_point_to_something(page):
  for link in re.findall(r'\]\(([^)\s]+)\)', page.read_text('utf-8')):
    if '://' in link:
      continue
    path, _, anchor = link.partition('#')
    target = page.parent / path if path else page
    assert target.exists(), link
    if anchor:
      assert anchor in _slugs(target), link


def test_every_module_of_data_is_named_where_it_is():
  folder = paths.ROOT / 'data'
  text = (folder / 'README.md').read_text('utf-8')
  named = re.findall(r'`(\w+/?)`', text.partition('## In this folder\n')[2])
  modules = {path.stem for path in folder.glob('*.py')} - {'__init__'}
  folders = {f'{path.parent.name}/' for path in folder.glob('*/__init__.py')}
  assert sorted(named) == sorted(modules | folders)


@pytest.mark.parametrize('page', _MANUALS, ids=_id)
def test_flags_are_known_to_their_command(page):
  for line in _lines(page):
    for command, flag in _uses(line):
      known = _flags(command) | _FOREIGN
      assert flag in known, f'{command}.py --{flag}'


@pytest.mark.parametrize('page', _MANUALS, ids=_id)
def test_every_flag_is_a_flag_of_some_command(page):
  known = _FOREIGN.union(*(_flags(command) for command in _COMMANDS))
  for line in _lines(page):
    for flag in re.findall(r'`--(\w+)', line):
      assert flag in known, flag


def test_the_check_of_flags_reads_joined_lines(tmp_path):
  page = tmp_path / 'page.md'
  page.write_text('`bin/train.py --model=m \\\n --init=i` bin/svcca.py --a=A\n')
  (line,) = _lines(page)
  uses = [('train', 'model'), ('train', 'init'), ('svcca', 'a')]
  assert list(_uses(line)) == uses
  assert {'model', 'deterministic', 'nodeterministic'} <= _flags('train')
  assert 'margin' not in _flags('train')


def test_every_command_is_installed_and_documented():
  script = (
    'import runpy, setuptools; setuptools.setup = lambda **kwargs: '
    'print(*kwargs["entry_points"]["console_scripts"], sep="\\n"); '
    'runpy.run_path("setup.py")'
  )
  scripts = subprocess.run(
    [sys.executable, '-c', script],
    cwd=paths.ROOT,
    capture_output=True,
    text=True,
    check=True,
  ).stdout.splitlines()
  usage = (_DOCS / 'usage.md').read_text('utf-8')
  assert len(scripts) == len(_COMMANDS)
  for command in _COMMANDS:
    name = f'transfusion-{command.replace("_", "-")}'
    assert f'{name} = transfusion_tf.cli.{command}:run' in scripts
    assert usage.count(f'| `bin/{command}.py` | `{name}` |') == 1
    module = paths.ROOT / 'transfusion_tf' / 'cli' / f'{command}.py'
    assert '\ndef run() -> None:\n' in module.read_text('utf-8')


@pytest.fixture(scope='module')
def site(tmp_path_factory):
  """The folder of the site, and what its build said."""
  folder = tmp_path_factory.mktemp('site')
  built = subprocess.run(
    [sys.executable, '-m', 'mkdocs', 'build', '--strict', '--site-dir', folder],
    cwd=paths.ROOT,
    capture_output=True,
    text=True,
  )
  assert built.returncode == 0, built.stdout + built.stderr
  return folder, built.stdout + built.stderr


def test_the_site_builds_without_warnings(site):
  folder, output = site
  assert 'WARNING' not in output
  for page in _DOCS.rglob('*.md'):
    path = page.relative_to(_DOCS).with_suffix('')
    name = path.parent if path.name == 'index' else path
    assert (folder / name / 'index.html').exists()


def test_the_reference_has_every_public_module(site):
  folder, _ = site
  pages = (folder / 'reference').rglob('index.html')
  text = '\n'.join(page.read_text('utf-8') for page in pages)
  for file in (paths.ROOT / 'transfusion_tf').rglob('*.py'):
    parts = file.relative_to(paths.ROOT).with_suffix('').parts
    module = '.'.join(part for part in parts if part != '__init__')
    if module != 'transfusion_tf':
      assert f'id="{module}"' in text, module
  assert 'id="transfusion_tf.init.schemes.mean_var"' in text
  assert 'id="svcca.cca_core.get_cca_similarity"' in text

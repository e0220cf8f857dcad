"""Names that others chose end nothing and order nothing, wherever shown."""

import os
import re
import shlex
import stat
import subprocess
import sys

from matplotlib import figure
import numpy as np
import paths
import pytest

from data import preflight_report
from data import raw_dataset
from transfusion_tf import shown_text
from transfusion_tf import templates
from transfusion_tf.run.tensorboard import plots
from transfusion_tf.study import display
from transfusion_tf.study import report
from transfusion_tf.study.plots import layout

_FORMULAS = (r'size $\leq{5$ mm', '$', r'\$', '$a$ < $b', r'$\frac{$', 'a$_{$b')
_MARKUP = (
  '<script>alert(1)</script>',
  'a|b',
  '[x](javascript:alert(1))',
  '<img src=x onerror=alert(1)>',
  '&lt;b&gt;',
  'two\nlines',
)
_ORDERS = ('\x1b[31mred', '\x1b]0;title\x07', 'a\rb', '\u202egnp.exe', '\x9bm')


def test_figures_show_formulas_as_they_are():
  names = list(_FORMULAS)
  images = np.zeros((len(names), 8, 8, 3))
  assert plots.sheet(images, names).std() > 0
  counts = np.eye(len(names), dtype=int)
  assert plots.confusion({names[0]: (names, counts)}).std() > 0


@pytest.mark.parametrize('name', _FORMULAS)
def test_the_figures_of_a_report_show_formulas_as_they_are(name, tmp_path):
  fig, axes = layout.single((3, 3))
  layout.band(
    axes, display.Style(name, '#000000', '-', 'o'), [0, 1], [[0], [1]]
  )
  axes.set_xticks([0, 1], [name, 'other'])
  axes.set_title(name)
  layout.legend(axes)
  report.write(
    str(tmp_path / 'page.html'), name, [report.Section(name, figure=fig)]
  )
  texts = [text.get_text() for text in axes.get_xticklabels()]
  assert name in texts


def test_a_formula_that_is_meant_is_drawn_elsewhere():
  """Nothing is changed for figures that are not ours."""
  ours, theirs = figure.Figure(), figure.Figure()
  with shown_text.without_formulas(ours):
    pass
  assert theirs.text(0, 0, '$a$').get_parse_math()


@pytest.mark.parametrize('name', _MARKUP)
def test_markdown_shows_markup(name, tmp_path):
  template = tmp_path / 'page.md'
  template.write_text('{{ name }}\n| {{ row | cells }} |\n')
  page = templates.render(template, name=name, row=[name, 3])
  first, second = page.splitlines()
  assert '<' not in page and not re.search(r'(?<!\\)\]\(', page)
  assert len(re.findall(r'(?<!\\)\|', first)) == 0
  assert len(re.findall(r'(?<!\\)\|', second)) == 3


@pytest.mark.parametrize('order', _ORDERS)
def test_the_report_of_a_check_orders_no_terminal(order):
  records = [
    raw_dataset.Record(
      f'{n}', f'{n}', '', 'train', {'label': f'{order}{n % 2}'}
    )
    for n in range(4)
  ]
  problem = raw_dataset.Problem('not an image', order, order)
  dataset = raw_dataset.RawDataset(records, [problem])
  lines = str(preflight_report.Report('set', dataset)).split('\n')
  assert all(line.isprintable() for line in lines)


def test_a_message_of_a_command_orders_no_terminal():
  found = subprocess.run(
    [sys.executable, paths.BIN / 'train.py', '--run_dir=x', '--\x1b[31mred=1'],
    capture_output=True,
    text=True,
  )
  assert found.returncode == 2
  assert found.stderr.strip().isprintable() and r'\x1b[31mred' in found.stderr


def test_commands_of_a_list_are_quoted(tmp_path):
  """The documents' recipe evaluates them."""
  root = tmp_path / "a study; touch 'owned' $(touch owned)"
  found = subprocess.run(
    [
      *(sys.executable, paths.BIN / 'reproduce.py', '--target=all', '--list'),
      *('--scale=paper', f'--output_dir={root}', f'--data_dir={tmp_path}'),
    ],
    capture_output=True,
    text=True,
    check=True,
  )
  lines = [x for x in found.stdout.splitlines() if x.startswith('python')]
  assert len(lines) > 300
  for line in lines:
    words = shlex.split(line, comments=True)
    assert len(words) == 3 and words[2].startswith(f'--flagfile={root}/')
    assert os.path.exists(words[2].removeprefix('--flagfile='))
  imports = [x for x in found.stdout.splitlines() if 'import_slim' in x]
  for line in imports:
    assert shlex.split(line)[-1].startswith(f'--output={root}/')


_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def _pages(folder):
  record = raw_dataset.Record('a', 'a', '', 'train', {'label': 'x'})
  dataset = raw_dataset.RawDataset([record])
  shown = {'a': 'data:image/jpeg;base64,'}
  preflight_report.Report('set', dataset, shown=shown).write(folder)
  report.write(str(folder / 'report.html'), 'title', [])
  return [folder / 'preflight.html', folder / 'report.html']


def test_pages_load_nothing_and_run_nothing(tmp_path):
  for page in _pages(tmp_path):
    text = page.read_text()
    assert f'Content-Security-Policy" content="{_POLICY}"' in text
    assert not re.search(
      r'<script|<link|javascript:|https?://\S*\.(js|css)', text
    )


def test_every_page_of_the_tree_has_the_policy():
  found = [
    path
    for folder in ('transfusion_tf', 'data')
    for path in (paths.ROOT / folder).rglob('*.html')
  ]
  assert len(found) >= 2
  for path in found:
    assert _POLICY in path.read_text(), path


def test_pages_with_pictures_are_for_their_owner(tmp_path):
  page, plain = _pages(tmp_path)
  assert stat.S_IMODE(page.stat().st_mode) == 0o600
  assert stat.S_IMODE(plain.stat().st_mode) & 0o400
  private = tmp_path / 'private.html'
  report.write(str(private), 'title', [], private=True)
  assert stat.S_IMODE(private.stat().st_mode) == 0o600


_PAGES = [
  path
  for folder in ('data', 'transfusion_tf')
  for path in sorted((paths.ROOT / folder).rglob('*.html'))
]


@pytest.mark.parametrize('page', _PAGES, ids=lambda path: path.name)
def test_pages_have_the_width_of_a_telephone_and_a_margin(page):
  text = page.read_text('utf-8')
  assert '<meta name="viewport" content="width=device-width' in text
  body = re.search(r'\bbody \{([^}]*)\}', text)[1]
  sides = re.search(r'padding: 0 (\S+?)[;\s]', body + ' ')
  assert sides and sides[1] != '0', body
  if 'class="row picture"' in text:  # What it says stands below the picture.
    assert '.picture { flex-wrap: wrap; }' in text

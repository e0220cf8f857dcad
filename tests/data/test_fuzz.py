"""Tables and archives at random: a line or a report, nothing left unsaid."""

import random
import shutil
import zipfile

import pytest
import raw_sets

from data import coverage
from data import preflight
from data import preflight_report
from data.image_table import layout
from data.retina import layouts
from transfusion_tf import errors

_CELLS = (
  *('', ' ', 'a', 'A', 'b', '0', '1', '-1', '1.0', '00', '2.0', 'nan', 'N/A'),
  *('?', 'a|b', "['a', 'b']", 'x' * 300, '"', 'a"b', 'a\nb', 'a;b', '\x00'),
  *('<b>', 'é', 'e\u0301', '\u202e', '=1+1', 'mean', 'image_id', 'a:label'),
  *('train', 'val', 'test', 'None', '1e5', '99999999999999999999', '12.50'),
)
_PATHS = (
  *('{}.png', './{}.png', 'images/../{}.png', '../{}.png', '/etc/hostname'),
  *('{}', '{}.PNG', 'gone{}.png', '{}.png\x00', '{}.zip::a', '', '.', '~'),
)
_HEADERS = ('label', 'Label', 'Mass', 'Edema', '', 'who', 'set', 'label ', 'é')


def _quoted(cell, draw):
  """A cell as a program writes it, or as nobody should."""
  if draw.random() < 0.03:
    return cell
  if any(x in cell for x in ',";\n\r\t'):
    return '"' + cell.replace('"', '""') + '"'
  return cell


def _table(draw):
  """The text of a table, and the number of its rows."""
  columns = ['path', *draw.sample(_HEADERS, draw.randint(1, 4))]
  few = draw.sample(_CELLS, draw.randint(1, 4))
  rows = []
  for number in range(draw.randint(0, 12)):
    path = '{}.png' if draw.random() < 0.8 else draw.choice(_PATHS)
    odd = draw.random() < 0.1
    cells = [draw.choice(_CELLS if odd else few) for _ in columns[1:]]
    row = [path.format(number), *cells]
    if draw.random() < 0.02:
      row = row[:-1] if draw.random() < 0.5 else [*row, 'more']
    rows.append(row)
  end = draw.choice(('\n', '\r\n', '\r'))
  lines = [','.join(_quoted(c, draw) for c in row) for row in [columns, *rows]]
  text = end.join(lines) + draw.choice(('', end, end * 3, ',,' + end))
  mark = draw.choice(('', '\ufeff'))
  data = (mark + text).encode()
  if draw.random() < 0.03:
    data = data[: draw.randint(0, len(data))]
  if draw.random() < 0.03:
    data = data.replace(b'a', draw.randbytes(2))
  return data, columns, rows


def _choices(draw, columns):
  def pick(name):
    return name if name in columns and draw.random() < 0.5 else ''

  return layout.Columns(
    patient=pick('who'),
    split=pick('set'),
    kind=draw.choice(('', '', '', 'label', 'grade', 'findings')),
    separator=draw.choice(('', '', '', '|', ',')),
    join_patients=draw.random() < 0.3,
    majority=draw.random() < 0.3,
  )


@pytest.fixture(scope='module')
def images(tmp_path_factory):
  folder = tmp_path_factory.mktemp('images')
  for number in range(12):
    raw_sets.save(raw_sets.photograph(number), folder / f'{number}.png')
  return folder


def _report(checked):
  """Everything that is printed and written."""
  report = preflight_report.Report('fuzz/1.0.0', checked)
  str(report).encode()
  assert report.summary
  return report


@pytest.mark.fuzz
@pytest.mark.timeout(1200)
def test_a_thousand_tables(images):
  refused = 0
  for seed in range(1000):
    draw = random.Random(seed)
    data, columns, _ = _table(draw)
    (images / 'labels.csv').write_bytes(data)
    try:
      found = layout.find(
        images / 'labels.csv', images, _choices(draw, columns)
      ).dataset
    except errors.InputError as error:
      refused += 1
      assert str(error) and '\n' not in ' '.join(str(error).split()), seed
      continue
    listed = {record.image_id for record in found.records}
    checked = preflight.check(found, num_processes=1)
    _report(checked)
    # Each image is kept, or named by a problem; each file is one or other.
    kept = {record.image_id for record in checked.records}
    said = ' '.join(str(problem) for problem in checked.problems)
    assert all(image in said for image in listed - kept), seed
    files = {f'{number}.png' for number in range(12)}
    unsaid = [file for file in files - kept if file not in said]
    assert all(_is_refused_by_row(checked, file) for file in unsaid), seed
    if len({r.patient_id for r in checked.records}) >= 3 and not any(
      r.split for r in found.records
    ):
      assert len(checked.splits()) == 3 or _held_back(checked), seed
    coverage.problems(checked)
  assert 50 < refused < 900


def _is_refused_by_row(checked, file):
  """Whether rows were refused, whose line stands for their image."""
  del file
  return any('labels.csv:' in problem.location for problem in checked.problems)


def _held_back(checked):
  """Whether the check took images away after the split was drawn."""
  return any(
    problem.kind in ('contradictory labels', 'image in two splits')
    for problem in checked.problems
  )


@pytest.mark.fuzz
@pytest.mark.timeout(1200)
def test_five_hundred_archives(tmp_path):
  raw = raw_sets.kaggle(tmp_path / 'raw')
  with zipfile.ZipFile(raw / 'train.zip', 'w', zipfile.ZIP_DEFLATED) as file:
    for path in sorted((raw / 'train').iterdir()):
      file.write(path, f'train/{path.name}')
  shutil.rmtree(raw / 'train')
  whole = (raw / 'train.zip').read_bytes()
  ids = {record.image_id for record in layouts.find(raw, 'kaggle').records}
  read = 0
  for seed in range(500):
    draw = random.Random(seed)
    data = bytearray(whole)
    for _ in range(draw.choice((1, 3, 30))):
      data[draw.randrange(len(data))] = draw.randrange(256)
    if draw.random() < 0.2:
      # The directory at the end, where one byte changes most.
      data[-draw.randint(1, 1500)] ^= 1 << draw.randrange(8)
    if draw.random() < 0.2:
      start = draw.randrange(len(data))
      del data[start : start + draw.choice((1, 100, len(data)))]
    (raw / 'train.zip').write_bytes(data)
    try:
      found = layouts.find(raw, 'kaggle')
      checked = preflight.check(found, num_processes=1)
    except errors.InputError as error:
      assert 'train.zip' in str(error), seed
      continue
    read += 1
    _report(checked)
    kept = {record.image_id for record in checked.records}
    said = ' '.join(str(problem) for problem in checked.problems)
    for image_id in ids - kept:
      assert image_id in said or image_id.split('/')[1] in said, seed
  assert read > 100

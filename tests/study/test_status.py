"""What a study says while it runs: a line, and a page for any browser."""

import re
import time

import prepared_sets
import pytest

from transfusion_tf.study import executors
from transfusion_tf.study import runner
from transfusion_tf.study import status


def _planned(data_dir, keys, **changes):
  return {
    key: prepared_sets.experiment(data_dir, seed=n, **changes)
    for n, key in enumerate(keys)
  }


@pytest.fixture
def four(data_dir, tmp_path):
  """A study of four runs: waiting, running, done and failed."""
  keys = ['waits', 'runs', 'done', 'fails']
  shown = status.Status(_planned(data_dir, keys), str(tmp_path))
  for key in keys[1:]:
    shown.began(key, 'host-<1>')
  shown.ended('done')
  shown.ended('fails', 'the loss is <b>not</b> a number')
  return shown


def _history(folder, *steps):
  folder.mkdir(exist_ok=True)
  rows = [f'{{"step": {step}, "loss": 1.0}}\n' for step in steps]
  (folder / 'metrics.jsonl').write_text(''.join(rows))


def test_a_line_tells_all(four):
  line = four.text()
  for part in (
    '1 of 4 finished',
    '1 running (runs on host-<1>)',
    '1 waiting',
    '1 failed',
  ):
    assert part in line
  assert '\n' not in line


def test_the_page_tells_all_and_runs_nothing(four, tmp_path):
  four.write()
  page = (tmp_path / status.PAGE).read_text()
  assert "default-src 'none'" in page
  assert '<script' not in page
  assert 'host-&lt;1&gt;' in page
  assert 'the loss is &lt;b&gt;not&lt;/b&gt; a number' in page
  for key in four.runs:
    assert key in page


def test_images_per_second_are_those_between_evaluations(four, tmp_path):
  _history(tmp_path / 'runs', 0)
  four.write()
  assert not four.rate
  _history(tmp_path / 'runs', 0, 3)
  four.write()
  time.sleep(0.2)
  _history(tmp_path / 'runs', 0, 3, 6)
  four.write()
  run = four.runs['runs']
  assert run.step == 6
  assert 0 < run.rate < 3 * 8 / 0.2
  page = (tmp_path / status.PAGE).read_text()
  assert '6 of 6' in page
  assert 'Images per second' in page


def test_a_history_that_cannot_be_read_is_no_end(four, tmp_path):
  (tmp_path / 'runs').mkdir()
  for text in ('', '{"step": ', '[]', '{}', '\xff'):
    (tmp_path / 'runs' / 'metrics.jsonl').write_text(text, 'latin-1')
    four.write()
  assert four.runs['runs'].step == 0


def test_a_study_leaves_the_page_of_its_end(data_dir, tmp_path):
  planned = _planned(data_dir, ['good', 'bad'])
  (tmp_path / 'bad').write_text('no folder')
  seen = []

  def keep(key):
    seen.append((tmp_path / status.PAGE).read_text())

  failures = runner.train(planned, str(tmp_path), executors.HERE, keep)
  assert list(failures) == ['bad']
  assert 'http-equiv="refresh"' in seen[0]
  page = (tmp_path / status.PAGE).read_text()
  assert 'when training ended' in page
  assert 'http-equiv="refresh"' not in page
  assert re.search('<dt>Failed</dt><dd>1</dd>', page)

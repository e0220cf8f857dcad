"""A study whose runs lie in several folders is drawn as one."""

import json
import shutil

import fabricated_study
import processes
import pytest

from transfusion_tf.paper import runs
from transfusion_tf.paper import scales
from transfusion_tf.study import results

_TARGETS = 'table1,table5,figure7,figure10'
_SCALE = scales.QUICK
_FLAGS = ('reproduce.py', '--quick', f'--target={_TARGETS}', '--draw_only')


@pytest.fixture(scope='module')
def whole(server, tmp_path_factory):
  """A whole study, drawn."""
  root = tmp_path_factory.mktemp('whole')
  fabricated_study.write(root, _SCALE)
  _draw(server, root)
  return root


def _draw(server, root, *flags):
  made = processes.call(server, *_FLAGS, f'--output_dir={root}', *flags)
  assert made.returncode == 0, made.stderr


def _spread(whole, places):
  """Copy each run and each similarity to one of several folders."""
  kept = [path.parent for path in whole.rglob('result.json')]
  kept += (whole / 'similarity').rglob('*.json')
  for number, path in enumerate(sorted(kept)):
    there = places[number % len(places)] / path.relative_to(whole)
    there.parent.mkdir(parents=True, exist_ok=True)
    (shutil.copytree if path.is_dir() else shutil.copy)(path, there)


def _drawn(root):
  """The files that are written of a study."""
  return {
    str(path.relative_to(root)): path.read_bytes()
    for folder in ('tables', 'figures', '.')
    for path in sorted((root / folder).glob('*.*'))
  }


def test_runs_of_several_folders_are_drawn_as_of_one(server, whole, tmp_path):
  places = [tmp_path / name for name in ('own', 'cluster', 'elsewhere')]
  _spread(whole, places)
  more = ','.join(map(str, places[1:]))
  _draw(server, places[0], f'--more_runs={more}')
  expected = _drawn(whole)
  assert {'runs.csv', 'tables/table5.csv', 'report.html'} <= expected.keys()
  assert _drawn(places[0]) == expected
  # Nothing is written elsewhere.
  assert not list(places[1].glob('*.csv'))


def test_the_first_folder_with_a_run_counts(whole, tmp_path):
  key = runs.plans(['table1'], _SCALE)[0].key
  for place, text in (('a', '{'), ('b', None), ('c', None)):
    shutil.copytree(whole / key, tmp_path / place / key)
    if text:
      (tmp_path / place / key / 'result.json').write_text(text)

  def read(*places):
    roots = [str(tmp_path / place) for place in places]
    return results.read_first(results.read, roots, key)

  # A damaged one is passed over, where there is another.
  assert read('a', 'b', 'c').run_dir == str(tmp_path / 'b' / key)
  assert read('c', 'b').run_dir == str(tmp_path / 'c' / key)
  assert 'damaged' in read('none', 'a').reason
  assert read('none', 'neither').reason == 'not run'


def test_other_folders_that_do_not_fit_are_one_line(server, tmp_path):
  (tmp_path / 'other').mkdir()
  (tmp_path / 'other' / 'study.json').write_text(json.dumps({'scale': 'real'}))
  for flags, text in (
    (['--draw_only', f'--more_runs={tmp_path}/none'], 'no such folder'),
    (['--draw_only', f'--more_runs={tmp_path}/other'], 'of scale real, not'),
    ([f'--more_runs={tmp_path}/other', '--data_dir=D'], 'with --draw_only'),
  ):
    made = processes.call(
      server,
      *_FLAGS[:-1],
      f'--output_dir={tmp_path}/study',
      *flags,
    )
    assert made.returncode == 2
    assert text in made.stderr
    assert made.stderr.count('\n') == 1

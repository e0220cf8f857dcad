"""Where the benefit sits: networks made of checkpoints, and their sections."""

import shutil

import numpy as np
import pandas as pd
import prepared_sets
import pytest

from transfusion_tf.analysis import weight_space
from transfusion_tf.study import benefit
from transfusion_tf.study import benefit_page
from transfusion_tf.study import comparisons
from transfusion_tf.study import outcome
from transfusion_tf.study import plan as plan_lib
from transfusion_tf.study import runner
from transfusion_tf.study import similarity
from transfusion_tf.study import transfer_scores

_MODEL, _FOLDER = 'tiny_nets:staged_net', 'tiny_nets-staged_net'
_POSITIONS = (0.0, 0.5, 1.0)
# `test_study` measures it once, end to end.
pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def trained(data_dir, tmp_path_factory):
  """A study of a network from random weights and its own, two seeds each."""
  root = tmp_path_factory.mktemp('benefit')
  experiment = prepared_sets.experiment(
    data_dir,
    model__name=_MODEL,
    train__train_steps=12,
    train__eval_every=6,
    train__select='final',
  )
  plan = plan_lib.Plan(
    base=experiment,
    models=(_MODEL,),
    starts=('random', 'transfer'),
    num_seeds=2,
    sources={_MODEL: {'own': str(root / _FOLDER / 'random' / 'seed0')}},
  )
  planned = {run.key: run.experiment for run in plan.runs(str(root))}
  assert not runner.train(planned, str(root))
  return plan, root, outcome.read(plan, str(root))


@pytest.fixture(scope='module')
def measured(trained):
  _, root, found = trained
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(benefit, 'POSITIONS', _POSITIONS)
    measured = benefit.measure(found.finished)
    benefit.write(measured, str(root))
    return measured


def test_every_stage_is_put_back(measured):
  assert not measured.notes
  for start in ('random', 'transfer'):
    rows = measured.resets[measured.resets['start'] == start]
    assert list(rows['stage']) == ['conv1', 'conv2']
    np.testing.assert_allclose(
      rows['change'], rows['score'] - rows['trained'], atol=1e-12
    )
    assert (
      (rows['low'] <= rows['change']) & (rows['change'] <= rows['high'])
    ).all()
  # Training has changed the networks.
  assert measured.resets['change'].abs().max() > 0


def test_a_line_has_its_two_networks_at_its_ends(trained, measured):
  _, _, found = trained
  seeds = found.finished[_MODEL]['random']
  path = measured.paths[measured.paths['start'] == 'random']
  assert list(path['position']) == list(_POSITIONS)
  # Each as scored by itself; its batch norm has other statistics than the
  # moving ones of the run's own score.
  scorer = benefit._scorer(seeds[0])
  for run, row in zip(seeds, (path.iloc[0], path.iloc[-1]), strict=True):
    weights = scorer.read(run.run_dir, run.result['judged_step'])
    alone = scorer(weights)
    assert row['loss'] == pytest.approx(alone.loss, rel=1e-5)
    assert row['score'] == pytest.approx(float(alone.metric.value()))
  assert (benefit.barriers(measured.paths)['loss_barrier'] >= 0).all()


def test_nothing_put_back_is_nothing_changed(trained):
  _, _, found = trained
  run = found.finished[_MODEL]['random'][0]
  scorer = benefit._scorer(run)
  weights = scorer.read(run.run_dir, 12)
  for _, same in weight_space.with_stage_reset(
    weights, weights, scorer.run.stages
  ):
    assert all(np.array_equal(same[path], weights[path]) for path in weights)
  stages = dict(
    weight_space.with_stage_reset(
      weights, scorer.read(run.run_dir, 0), scorer.run.stages
    )
  )
  moved = [
    p for p in weights if not np.array_equal(stages['conv2'][p], weights[p])
  ]
  assert moved
  assert all(path.startswith('conv2') for path in moved)


def test_sections_show_tables_and_figures(trained, measured):
  _, root, found = trained
  resets, paths = benefit_page.sections(str(root), found.results)
  assert len(resets.table) == 4
  assert set(paths.table['Start']) == {'Random', 'Transfer'}
  for section in (resets, paths):
    section.figure.draw_without_rendering()


def test_checkpoints_that_are_gone_leave_a_note(trained, tmp_path, monkeypatch):
  monkeypatch.setattr(benefit, 'POSITIONS', _POSITIONS)
  plan, root, _ = trained
  copy = tmp_path / 'study'
  shutil.copytree(root, copy)
  shutil.rmtree(copy / _FOLDER / 'transfer' / 'seed0' / 'checkpoints')
  found = benefit.measure(outcome.read(plan, str(copy)).finished)
  (note,) = found.notes
  assert note.startswith(f'{_MODEL} from transfer: ')
  assert set(found.resets['start']) == {'random'}
  (copy / benefit.PATHS).write_text('')
  titles = [s.title for s in benefit_page.sections(str(copy), [])]
  assert titles == ['Which stages training needed', 'Between two seeds']


def test_barriers():
  positions = [0, 0.25, 0.5, 0.75, 1]
  assert weight_space.barrier(positions, [1, 1, 3, 2, 2]) == 1.5
  assert weight_space.barrier(positions, [1, 0.5, 0, 1, 2]) == 0


def test_orders_are_compared_from_three_entries_on():
  def entry(log_me, measured, num_runs=1):
    return transfer_scores.Entry(
      'cbr_tiny', 'a', log_me, -log_me, measured, num_runs
    )

  three = [entry(1, 0.7), entry(2, 0.8), entry(3, 0.9)]
  (text,) = transfer_scores.agreement([*three, entry(9, np.nan, 0)])
  assert 'LogME +1.00' in text
  assert 'H-score -1.00' in text
  (text,) = transfer_scores.agreement(three[:1])
  assert '1 of them was trained' in text


def test_frames_without_rows_have_no_sections(tmp_path):
  empty = benefit.measure({})
  assert empty.resets.empty
  assert isinstance(empty.paths, pd.DataFrame)
  assert not list(benefit_page.sections(str(tmp_path), []))


def test_jobs_find_what_one_process_finds(trained, measured, tmp_path):
  _, _, found = trained
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(benefit, 'POSITIONS', _POSITIONS)
    assert not comparisons.locate_benefit(found.finished, str(tmp_path))
  for name, table in (
    (benefit.RESETS, measured.resets),
    (benefit.PATHS, measured.paths),
  ):
    assert (tmp_path / name).read_text() == table.to_csv(index=False)
  table, refused = comparisons.compare(found.finished, str(tmp_path))
  alone, _ = similarity.measure(found.finished)
  pd.testing.assert_frame_equal(table, alone, check_exact=True)
  assert not refused
  assert not (tmp_path / 'comparisons').exists()

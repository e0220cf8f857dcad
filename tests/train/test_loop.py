"""The outer loop: what it keeps, when it stops, how it goes on."""

import json

import numpy as np
import pytest
import tensorflow as tf
import tiny_training

from transfusion_tf import errors
from transfusion_tf.train import checkpoint
from transfusion_tf.train import history
from transfusion_tf.train import loop


def _scores(*values):
  """A validation that gives these, one a call."""
  rest = iter(values)
  return lambda: {'score': next(rest)}


def _rows(tmp_path):
  text = (tmp_path / 'metrics.jsonl').read_text()
  return [json.loads(line) for line in text.splitlines()]


def _counters(folder, step):
  reader = tf.train.load_checkpoint(checkpoint.prefix(str(folder), step))
  names = reader.get_variable_to_shape_map()
  return {n: reader.get_tensor(n) for n in names if n.startswith('counters')}


def _schedule(**changes):
  base = {'total': 8, 'eval_every': 2, 'checkpoint_every': 2}
  return loop.Schedule(**base | {'steps_per_call': 1} | changes)


def test_it_evaluates_and_saves_on_schedule(tmp_path):
  parts = tiny_training.Parts(tmp_path)
  schedule = _schedule(eval_every=3, checkpoint_every=2, keep_checkpoints=9)
  assert not parts.loop(tmp_path, _scores(*range(9)), schedule).run()
  assert [row['step'] for row in _rows(tmp_path)] == [0, 3, 6, 8]
  assert parts.checkpoints.steps() == [0, 2, 4, 6, 8]


def test_patience_counts_evaluations_since_the_best(tmp_path):
  parts = tiny_training.Parts(tmp_path)
  scores = _scores(0.1, 0.5, 0.4, float('nan'), 0.9)
  assert parts.loop(tmp_path, scores, _schedule(patience=2)).run()
  assert [row['step'] for row in _rows(tmp_path)] == [0, 2, 4, 6]
  # JSON has no NaN.
  assert _rows(tmp_path)[-1]['validation'] == {'score': None}


@pytest.mark.parametrize(
  ('num_stderr', 'after', 'count'),
  [(0, 0, 4), (1, 0, 2), (2, 0, 0), (0, 6, 2), (1, 8, 1), (0, 10, 0)],
)
def test_scores_within_the_noise_of_the_best_are_as_good(
  tmp_path, num_stderr, after, count
):
  """The best is of step 2; that of step 6 is within one standard error."""
  found = history.History(str(tmp_path / 'metrics.jsonl'), 'score')
  for step, score in [(0, 0.4), (2, 0.8), (4, None), (6, 0.75)]:
    found.append(
      {'step': step, 'validation': {'score': score}, 'stderr': step / 20}
    )
  for step, score in [(8, 0.61), (10, 0.65)]:
    found.append({'step': step, 'validation': {'score': score}})
  assert found.evaluations_below_best(num_stderr, after) == count


def test_rows_without_a_standard_error_have_no_band(tmp_path):
  (tmp_path / 'metrics.jsonl').write_text(
    '{"step": 0, "loss": null, "validation": {"score": 0.5}}\n'
    '{"step": 2, "loss": 0.7, "validation": {"score": 0.5}}\n'
  )
  old = history.History(str(tmp_path / 'metrics.jsonl'), 'score')
  assert old.evaluations_below_best(1.0) == 1


def test_patience_waits_for_the_floor(tmp_path):
  parts = tiny_training.Parts(tmp_path)
  schedule = _schedule(total=12, patience=2, min_steps=5)
  assert parts.loop(tmp_path, _scores(9, *range(8)), schedule).run()
  assert [row['step'] for row in _rows(tmp_path)] == [0, 2, 4, 6, 8]


def test_a_probe_trains_the_head_alone_and_then_all_is_trained(tmp_path):
  schedule = _schedule(probe_steps=3, checkpoint_every=1, keep_checkpoints=9)
  parts = tiny_training.Parts(tmp_path)
  parts.loop(tmp_path, _scores(*range(5)), schedule).run()
  before, probed, after = (
    checkpoint.read(str(tmp_path), step) for step in (0, 3, 8)
  )
  assert len(before) == 8
  for path, start in before.items():
    of_head = path.startswith('head/')
    assert np.array_equal(start, probed[path]) != of_head, path
    assert not np.array_equal(probed[path], after[path]), path
  # Adam's first step after it is as large as that of a new run.
  assert int(parts.train_step.optimizer.iterations) == 5


@pytest.mark.parametrize('stop', [2, 4, 6])
def test_a_probe_that_is_stopped_goes_on_with_the_same_bits(tmp_path, stop):
  schedule = _schedule(probe_steps=4)
  whole = tmp_path / 'whole'
  whole.mkdir()
  parts = tiny_training.Parts(whole)
  parts.loop(whole, _scores(*range(5)), schedule).run()
  scores = iter(range(5))

  def validate():
    if first.train_step.step == stop:
      first.checkpoints.save()
      raise KeyboardInterrupt
    return {'score': next(scores)}

  first = tiny_training.Parts(tmp_path)
  with pytest.raises(KeyboardInterrupt):
    first.loop(tmp_path, validate, schedule).run()
  second = tiny_training.Parts(tmp_path, seed=1)
  second.loop(tmp_path, _scores(*range(stop // 2, 5)), schedule).run()
  for value, other in zip(second.values(), parts.values(), strict=True):
    np.testing.assert_array_equal(value, other)
  assert _rows(tmp_path) == _rows(whole)


def test_stopping_at_the_very_end_is_not_early(tmp_path):
  parts = tiny_training.Parts(tmp_path)
  scores = _scores(5, 4, 3, 2, 1)
  assert not parts.loop(tmp_path, scores, _schedule(patience=4)).run()


@pytest.mark.parametrize('keep', [1, 2])
def test_checkpoints_never_fill_the_disk(tmp_path, keep):
  """Step 0, the best and the last `keep` stay, at all times."""
  parts = tiny_training.Parts(tmp_path)
  seen = []
  schedule = _schedule(
    total=12, eval_every=1, checkpoint_every=1, keep_checkpoints=keep
  )
  scores = _scores(0, 1, 2, 9, *range(4, 0, -1), *range(5))
  parts.loop(
    tmp_path,
    scores,
    schedule,
    on_row=lambda *_: seen.append(len(parts.checkpoints.steps())),
  ).run()
  assert max(seen) <= keep + 2
  assert set(parts.checkpoints.steps()) == {0, 3, *range(13 - keep, 13)}


@pytest.mark.parametrize(
  'patience, scores, kept',
  [(0, [0, 1, 3, 2, 1], {0, 4, 8}), (2, [0, 3, 2, 1], {0, 2})],
  ids=['to the end', 'patience'],
)
def test_the_best_is_written_with_the_next_checkpoint(
  tmp_path, patience, scores, kept
):
  parts = tiny_training.Parts(tmp_path)
  seen = []
  parts.loop(
    tmp_path,
    _scores(*scores),
    _schedule(checkpoint_every=8, patience=patience),
    on_row=lambda *_: seen.append(parts.checkpoints.steps()),
  ).run()
  assert seen == [[], *[[0]] * (len(scores) - 1)]
  assert set(parts.checkpoints.steps()) == kept
  # It is that of the step, not a later one.
  best = tiny_training.Parts(tmp_path / 'best')
  best.train(min(kept - {0}))
  weights = checkpoint.read(str(tmp_path), min(kept - {0}))
  np.testing.assert_array_equal(
    weights['head/bias'], best.model.get_layer('head').bias
  )


def test_the_last_best_stays_until_the_next_is_written(tmp_path):
  """Killed after step 6, the run goes on from 4, where step 2 is the best."""
  parts = tiny_training.Parts(tmp_path)
  scores = _scores(0, 2, 1, 3)

  def validate():
    if parts.train_step.step == 8:
      raise KeyboardInterrupt
    return scores()

  schedule = _schedule(checkpoint_every=4, keep_checkpoints=1)
  with pytest.raises(KeyboardInterrupt):
    parts.loop(tmp_path, validate, schedule).run()
  assert parts.checkpoints.steps() == [0, 2, 4]

  parts = tiny_training.Parts(tmp_path, seed=1)
  parts.loop(tmp_path, _scores(1, 1), schedule).run()
  assert parts.checkpoints.steps() == [0, 2, 8]


def test_a_row_that_was_not_written_comes_on_the_next_sitting(tmp_path):
  """Stopped after the checkpoint of step 4, before its evaluation."""
  whole = tmp_path / 'whole'
  whole.mkdir()
  tiny_training.Parts(whole).loop(whole, _scores(*range(5)), _schedule()).run()

  parts = tiny_training.Parts(tmp_path)
  scores = _scores(0, 1)

  def validate():
    if parts.train_step.step == 4:
      parts.checkpoints.save()
      raise KeyboardInterrupt
    return scores()

  with pytest.raises(KeyboardInterrupt):
    parts.loop(tmp_path, validate, _schedule()).run()
  assert parts.checkpoints.steps()[-1] == 4
  assert [row['step'] for row in _rows(tmp_path)] == [0, 2]

  parts = tiny_training.Parts(tmp_path, seed=1)
  parts.loop(tmp_path, _scores(2, 3, 4), _schedule()).run()
  assert _rows(tmp_path) == _rows(whole)
  steps = checkpoint.steps(str(tmp_path))
  assert 4 in steps and steps == checkpoint.steps(str(whole))
  for step in steps:
    one, two = (_counters(folder, step) for folder in (tmp_path, whole))
    assert one == two and len(one) == 4


def test_a_checkpoint_between_two_others_goes(tmp_path):
  """SIGTERM came at step 3."""
  parts = tiny_training.Parts(tmp_path)

  def on_call():
    if parts.train_step.step == 3:
      parts.checkpoints.save()
      raise KeyboardInterrupt

  schedule = _schedule()
  with pytest.raises(KeyboardInterrupt):
    parts.loop(tmp_path, _scores(0, 1), schedule, on_call=on_call).run()
  assert parts.checkpoints.steps() == [0, 2, 3]
  parts = tiny_training.Parts(tmp_path, seed=1)
  parts.loop(tmp_path, _scores(2, 3, 4), schedule).run()
  assert 3 not in parts.checkpoints.steps()


def test_rows_after_the_checkpoint_are_forgotten_and_come_again(tmp_path):
  parts = tiny_training.Parts(tmp_path)
  parts.loop(tmp_path, _scores(*range(5)), _schedule()).run()
  rows = _rows(tmp_path)
  for step in (6, 8):
    for file in (tmp_path / checkpoint.folder(step)).iterdir():
      file.write_bytes(b'')
  parts = tiny_training.Parts(tmp_path, seed=1)
  parts.loop(tmp_path, _scores(3, 4), _schedule()).run()
  assert _rows(tmp_path) == rows


def test_a_finished_loop_does_nothing_more(tmp_path):
  parts = tiny_training.Parts(tmp_path)
  parts.loop(tmp_path, _scores(*range(5)), _schedule()).run()
  before = parts.values()
  parts = tiny_training.Parts(tmp_path, seed=1)
  parts.loop(tmp_path, _scores(), _schedule()).run()
  for value, other in zip(parts.values(), before, strict=True):
    np.testing.assert_array_equal(value, other)


def test_a_loss_that_is_no_number_names_its_step(tmp_path):
  parts = tiny_training.Parts(tmp_path)
  schedule = _schedule(checkpoint_every=1, steps_per_call=4)

  def validate():
    if parts.train_step.step == 4:  # Seen in the loss of the next step.
      parts.model.get_layer('head').bias.assign([1e38, 1e38])
    return {'score': 0.0}

  with pytest.raises(errors.RunError, match='not a finite number at step 5'):
    parts.loop(tmp_path, validate, schedule).run()
  weights = checkpoint.read(str(tmp_path), parts.checkpoints.steps()[-1])
  assert all(np.isfinite(value).all() for value in weights.values())


def test_steps_in_one_call_change_nothing(tmp_path):
  ends = []
  for steps_per_call in (1, 3, 0):
    folder = tmp_path / str(steps_per_call)
    folder.mkdir()
    parts = tiny_training.Parts(folder)
    schedule = _schedule(steps_per_call=steps_per_call)
    parts.loop(folder, _scores(*range(5)), schedule).run()
    ends.append((parts.values(), _rows(folder)))
  for values, rows in ends[1:]:
    assert rows == ends[0][1]
    for value, other in zip(values, ends[0][0], strict=True):
      np.testing.assert_array_equal(value, other)


def test_the_best_is_the_earliest_of_equals():
  rows = [
    {'step': step, 'validation': {'score': score}}
    for step, score in enumerate([None, 0.5, 0.7, 0.7, None])
  ]
  assert history.best(rows, 'score')['step'] == 2
  assert history.best(rows[:1], 'score') is None


def test_a_line_cut_short_is_left_out_and_a_damaged_one_refused(tmp_path):
  path = tmp_path / 'metrics.jsonl'
  rows = [{'step': n, 'loss': None, 'validation': {}} for n in range(2)]
  first, second = map(json.dumps, rows)
  path.write_text(f'{first}\n{second}\n{{"st')
  assert history.read(str(path)) == rows
  path.write_text(f'{first}\n{{"st\n{second}\n')
  with pytest.raises(errors.InputError, match='damaged: line 2: '):
    history.read(str(path))

"""Where the time of a session goes."""

import prepared_sets
import runs

from transfusion_tf.train import timing as timing_lib


def test_the_first_of_each_part_is_apart():
  timing = timing_lib.Timing()
  for count in (5, 10, 10):
    with timing.measure('steps', count):
      pass
  with timing.measure('evaluations'):
    pass
  counts = {name: count for name, (count, _) in timing.record().items()}
  assert counts == {'first_steps': 5, 'steps': 20, 'first_evaluations': 1}


def test_a_run_says_how_long_its_parts_took(data_dir, tmp_path):
  changes = {'train_steps': 8, 'eval_every': 2}
  experiment = prepared_sets.experiment(
    data_dir, **{f'train__{name}': value for name, value in changes.items()}
  )
  result = runs.train(experiment, tmp_path / 'run')
  parts = result['timing']
  assert parts['first_steps'][0] + parts['steps'][0] == 8
  assert parts['first_evaluations'][0] + parts['evaluations'][0] == 5
  total = sum(seconds for _, seconds in parts.values())
  # `seconds` counts from when the network is there.
  start = sum(parts.get(name, (0, 0))[1] for name in ('start', 'first_start'))
  assert total - start <= result['seconds'] + 0.1 <= total + 0.2
  assert all(seconds >= 0 for _, seconds in parts.values())
  again = runs.train(experiment, tmp_path / 'again')['timing']
  assert 'start' in again
  assert 'first_start' not in again

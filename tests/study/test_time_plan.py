"""What of a study is made in a time, on given costs and on measured ones."""

import dataclasses
import json
import pathlib

import prepared_sets
import pytest

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf.study import durations
from transfusion_tf.study import files
from transfusion_tf.study import outcome
from transfusion_tf.study import plan as plan_lib
from transfusion_tf.study import remaining
from transfusion_tf.study import run_cost
from transfusion_tf.study import time_forecast
from transfusion_tf.study import time_limits
from transfusion_tf.study import time_plan

_TINY = run_cost.Cost(5.0, 1.0, 2.0, 0.01, 0.1)
_COSTS = {
  ('cbr_tiny', 'own', ''): _TINY,
  ('cbr_small', 'own', ''): run_cost.Cost(10.0, 1.0, 2.0, 0.02, 0.1),
  ('resnet50', 'own', ''): run_cost.Cost(60.0, 5.0, 10.0, 0.5, 1.0),
}


def _plan(**changes):
  base = config.override(
    config.IMAGE_TABLE,
    {
      'data.dataset': 'own',
      'train.train_steps': 1500,
      'train.eval_every': 50,
      'train.min_steps': 500,
    },
  )
  settings = {
    'base': base,
    'models': ('cbr_tiny', 'resnet50', 'cbr_small'),
    'starts': ('random', 'transfer'),
    'num_seeds': 5,
    'sources': {m: {'': 'weights.h5'} for m in ('cbr_tiny', 'cbr_small')},
  }
  return plan_lib.Plan(**settings | changes)


def _seconds(root, num_processes=1):
  def seconds(plan):
    phases = [plan.trials(root), plan.runs(root)]
    return time_forecast.seconds(phases, _COSTS, root, num_processes)

  return seconds


def _choose(limit, plan=None, root='none', **options):
  return time_plan.choose(plan or _plan(), limit, _seconds(root), **options)


def test_all_is_made_if_there_is_time():
  full = _seconds('none')(_plan())
  assert _choose(full) == time_plan.whole(_plan())


def test_seeds_are_given_up_first_then_steps_then_networks():
  """Over ever shorter limits, and always as long as fits."""
  full = _seconds('none')(_plan())
  orders = []
  for fraction in (0.99, 0.8, 0.62, 0.5, 0.3, 0.24, 0.15, 0.05):
    limit = fraction * full
    part = _choose(limit)
    taken = _seconds('none')(part.of(_plan()))
    assert taken <= limit
    steps = part.of(_plan()).base.train.train_steps
    orders.append((len(part.models), part.num_seeds, steps))
  networks, seeds, steps = zip(*orders, strict=True)
  assert orders == sorted(orders, key=lambda each: each[0], reverse=True)
  assert min(seeds) >= 2
  # Steps are given up only once there are three seeds, and down to the floor.
  assert all(s == 1500 or n <= 3 for n, s in zip(seeds, steps, strict=True))
  assert min(steps) >= 500
  assert min(networks) < 3
  assert 500 < sorted(set(steps))[0] < 1500 or 500 in steps
  # The costliest network goes.
  assert 'resnet50' not in _choose(0.1 * full).models


def test_nothing_fits():
  assert _choose(10) is None
  part = time_plan.smallest(_plan(), _seconds('none'))
  least = _seconds('none')(part.of(_plan()))
  assert _choose(least) is not None
  assert _choose(least * 0.99) is None
  assert (part.models, part.num_seeds) == (('cbr_tiny',), 2)


def test_a_study_of_one_seed_keeps_it():
  plan = _plan(num_seeds=1, models=('cbr_tiny',))
  least = _seconds('none')(time_plan.smallest(plan, _seconds('none')).of(plan))
  assert _choose(least, plan).num_seeds == 1


def test_runs_that_have_begun_stay_as_long_as_they_are():
  full = _seconds('none')(_plan())
  for fraction in (0.6, 0.3, 0.1):
    assert _choose(fraction * full, lengths=False).length == 1.0


def test_what_is_finished_costs_nothing(tmp_path):
  plan = _plan()
  before = _seconds(str(tmp_path))(plan)
  for run in plan.runs(str(tmp_path))[:5]:
    (tmp_path / run.key).mkdir(parents=True)
    (tmp_path / run.key / 'result.json').write_text('{}')
  assert _seconds(str(tmp_path))(plan) < before


def test_trials_of_learning_rates_and_pretraining_count():
  plan = _plan(models=('cbr_tiny',), num_seeds=3)
  rates = dataclasses.replace(plan, rates=(1e-3, 1e-4, 1e-5))
  run = _COSTS['cbr_tiny', 'own', ''].seconds(plan.runs('none')[0].experiment)
  more = _seconds('none')(rates) - _seconds('none')(plan)
  # Two more rates of two starts: the first seed of one is its own trial.
  assert 3.5 * run < more < 7 * run
  pretrained = _plan(
    models=('cbr_tiny',), sources={}, num_seeds=3, pretraining=plan.base
  )
  assert _seconds('none')(pretrained) > _seconds('none')(plan) + 0.9 * run


def test_two_processes_share_the_runs():
  one, two = (_seconds('none', n)(_plan()) for n in (1, 2))
  assert 0.5 * one < two < 0.9 * one


def test_frozen_networks_have_costs_of_their_own():
  plan = _plan(models=('cbr_tiny',), starts=('random', 'frozen@layer1'))
  frozen = run_cost.Cost(5.0, 1.0, 2.0, 0.002, 0.1)
  costs = _COSTS | {('cbr_tiny', 'own', 'layer1'): frozen}
  plain, cheaper = (
    time_forecast.seconds([plan.runs('none')], each, 'none')
    for each in (_COSTS | {('cbr_tiny', 'own', 'layer1'): _TINY}, costs)
  )
  saved = plan.num_seeds * plan.base.train.train_steps * (0.01 - 0.002)
  assert plain - cheaper == pytest.approx(saved)
  # Comparisons are of the whole network.
  whole, other = (
    time_forecast.closing(plan, each, 100, True)
    for each in (costs, {('cbr_tiny', 'own', 'layer1'): frozen})
  )
  assert whole == other


def test_a_limit_without_reserve_is_one_line():
  error = time_plan.refusal(120, 300, 4000)
  assert str(error) == (
    '--time_limit: 2 minutes are too short: with what comes before the runs, '
    'the smallest part of this study takes about 5 minutes, all of it 67 '
    'minutes'
  )


@pytest.fixture
def spots(data_dir, tmp_path):
  """A plan of short runs, and its folder."""
  return plan_lib.Plan(
    base=prepared_sets.experiment(data_dir, train__train_steps=40),
    models=('tiny_nets:net',),
    starts=('random',),
    num_seeds=4,
    sources={},
  ), str(tmp_path)


def _record(root, **changes):
  record = {
    'asked': {'limit': 60.0, 'models': ['tiny_nets:net'], 'seeds': 4},
    'models': ['tiny_nets:net'],
    'seeds': 2,
    'length': 0.5,
    'left_out': ['2 seeds of each in place of 4.'],
    'closing': 5,
  }
  time_plan.write(root, record | changes)


def _begin(plan, root):
  (run, *_) = plan.runs(root)
  folder = pathlib.Path(root, run.key)
  folder.mkdir(parents=True)
  config.save(run.experiment, folder / 'config.json')


def _long(plan):
  return dataclasses.replace(
    plan, base=config.override(plan.base, {'train.train_steps': 2000})
  )


def test_the_same_command_keeps_to_its_plan(spots, capsys):
  plan, root = _long(spots[0]), spots[1]
  machine, limit = time_forecast.Machine(root), time_limits.Limit(60.0)
  _record(root)
  _begin(plan, root)
  made, until = time_limits.fit(plan, machine, limit)
  assert (made.num_seeds, made.base.train.train_steps) == (2, 1000)
  assert until == limit.until(5)
  assert '2 seeds of each in place of 4.' in capsys.readouterr().out
  (section,) = time_limits.section(root)
  assert '2 seeds of each' in section.paragraphs[0]


def test_without_a_limit_runs_stay_as_long_as_the_first_ones(spots):
  plan, root = _long(spots[0]), spots[1]
  machine, limit = time_forecast.Machine(root), time_limits.Limit()
  _record(root, models=['elsewhere:net'])
  _begin(plan, root)
  made, until = time_limits.fit(plan, machine, limit)
  assert until == float('inf')
  assert (made.num_seeds, made.base.train.train_steps) == (4, 1000)
  assert made.models == plan.models
  (section,) = time_limits.section(root)
  assert 'Runs of 1,000 steps in place of 2,000.' in section.paragraphs[0]


def test_added_seeds_are_of_the_networks_that_there_are(spots):
  plan, root = spots
  _record(root, models=['cbr_tiny'])
  plan = dataclasses.replace(plan, models=('cbr_tiny', 'tiny_nets:net'))
  machine, limit = time_forecast.Machine(root), time_limits.Limit()
  made, _ = time_limits.fit(plan, machine, limit, continues=True)
  assert made.models == ('cbr_tiny',)


def test_a_study_without_a_limit_has_no_plan(spots):
  plan, root = spots
  machine, limit = time_forecast.Machine(root), time_limits.Limit()
  assert time_limits.fit(plan, machine, limit) == (plan, float('inf'))
  assert not list(time_limits.section(root))


def _finish(plan, root, number, seconds):
  key = plan.runs(root)[number].key
  folder = pathlib.Path(root, key)
  folder.mkdir(parents=True)
  result = {
    'headline': 'auc',
    'test': {},
    'judged_step': 0,
    'num_test': 0,
    'num_train': 0,
    'seconds': seconds,
    'versions': {},
  }
  (folder / 'result.json').write_text(json.dumps(result))
  return key


def test_finished_runs_tell_how_long_the_others_take(tmp_path):
  plan, root = _plan(models=('cbr_tiny',), num_seeds=4), str(tmp_path)
  planned = {run.key: run.experiment for run in plan.runs(root)}
  left = remaining.Remaining(planned, root, num_processes=2)
  assert left.text() == ''
  left.ended(_finish(plan, root, 0, 600.0))
  # Seven runs of ten minutes, two at a time.
  assert left.text() == 'about 35 minutes left'
  left.ended(plan.runs(root)[1].key, is_finished=False)
  assert left.text() == 'about 30 minutes left'
  for number in range(2, 8):
    left.ended(_finish(plan, root, number, 600.0))
  assert left.text() == ''


def test_of_other_networks_it_is_only_known_to_be_longer(tmp_path):
  plan, root = _plan(num_seeds=1), str(tmp_path)
  planned = {run.key: run.experiment for run in plan.runs(root)}
  left = remaining.Remaining(planned, root)
  left.ended(_finish(plan, root, 0, 60.0))
  assert left.text() == 'more than 60 seconds left'
  (tmp_path / plan.runs(root)[1].key).mkdir(parents=True)
  (tmp_path / plan.runs(root)[1].key / 'result.json').write_text('{')
  left.ended(plan.runs(root)[1].key)  # A damaged result tells nothing.


def test_a_run_for_which_there_was_no_time_is_no_failure(spots):
  plan, root = spots
  keys = [run.key for run in plan.runs(root)]
  found = outcome.read(plan, root, {keys[0]: 'a bug'}, (), keys[1:])
  assert [failure.key for failure in found.failures] == keys[:1]
  assert set(found.missing) == set(keys)
  assert files.unfinished(root, keys, {keys[0]: 'a bug'}) == keys[1:]


@pytest.mark.parametrize(
  ('seconds', 'text'),
  [
    (0.2, '1 second'),
    (89, '89 seconds'),
    (90, '1.5 minutes'),
    (120, '2 minutes'),
    (700, '12 minutes'),
    (6000, '1.7 hours'),
    (400_000, '4.6 days'),
  ],
)
def test_lengths_of_time(seconds, text):
  assert durations.text(seconds) == text


@pytest.mark.slow
def test_a_study_is_measured(spots, capsys):
  plan, root = spots
  machine = time_forecast.Machine(root, locates_benefit=False)
  limit = time_limits.Limit(3600)
  made, until = time_limits.fit(plan, machine, limit)
  assert made == plan
  assert limit.until(300) < until < limit.until(0)
  assert 'tiny_nets:net' in capsys.readouterr().out
  assert [path.name for path in pathlib.Path(root).iterdir()] == [
    time_plan.RECORD
  ]
  with pytest.raises(errors.InputError, match='smallest part of this study'):
    time_limits.fit(plan, machine, time_limits.Limit(0.5))


@pytest.mark.slow
def test_frozen_networks_are_measured_apart(spots):
  plan, root = spots
  plan = dataclasses.replace(
    plan,
    models=('tiny_nets:staged_net',),
    starts=('random', 'frozen_random@conv1'),
  )
  time_limits.fit(plan, time_forecast.Machine(root), time_limits.Limit(3600))
  costs = json.loads(pathlib.Path(root, time_plan.RECORD).read_text())['costs']
  assert [key.rpartition(', ')[2] for key in costs] == ['retina', 'conv1']

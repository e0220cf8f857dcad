"""--plan: what a study takes, from finished runs or estimates."""

import dataclasses
import json
import re
import time

import prepared_sets
import processes
import pytest
import raw_sets

from transfusion_tf import config
from transfusion_tf.paper import costs
from transfusion_tf.paper import runs as paper_runs
from transfusion_tf.paper import scales
from transfusion_tf.study import device_costs
from transfusion_tf.study import executors
from transfusion_tf.study import finished_costs
from transfusion_tf.study import plan as plan_lib
from transfusion_tf.study import run_cost
from transfusion_tf.study import run_queues
from transfusion_tf.study import runner
from transfusion_tf.study import scheduling
from transfusion_tf.study import spending
from transfusion_tf.study import spending_text
from transfusion_tf.study import time_costs
from transfusion_tf.study import time_forecast
from transfusion_tf.tpu import step_bounds

_COSTS = {
  ('cbr_tiny', 'own', ''): run_cost.Cost(5.0, 1.0, 2.0, 0.01, 0.1),
  ('cbr_small', 'own', ''): run_cost.Cost(10.0, 1.0, 2.0, 0.02, 0.1),
}


def _plan(**changes):
  base = config.override(
    config.IMAGE_TABLE,
    {'data.dataset': 'own', 'train.train_steps': 1500, 'train.eval_every': 50},
  )
  settings = {
    'base': base,
    'models': ('cbr_tiny', 'cbr_small'),
    'starts': ('random', 'transfer'),
    'num_seeds': 1,
    'sources': {},
    'pretraining': base,
  }
  return plan_lib.Plan(**settings | changes)


def _jobs(plan, root='none'):
  phase = {run.key: run.experiment for run in plan.all_runs(root)}
  return run_queues.jobs(
    [phase], root, lambda run: _COSTS[time_costs.key_of(run)]
  )


@pytest.mark.parametrize('num_processes', [1, 2, 3])
def test_plans_and_time_limits_agree(num_processes):
  plan = _plan()
  made = scheduling.simulate(
    _jobs(plan), num_processes, order=scheduling.AsThePool()
  )
  forecast = time_forecast.seconds(
    [plan.all_runs('none')], _COSTS, 'none', num_processes
  )
  assert made.makespan == pytest.approx(forecast)


def test_runs_are_jobs_in_the_order_of_the_runner():
  jobs = {job.key: job for job in _jobs(_plan())}
  assert jobs['cbr_tiny/pretrained'].phase == 0
  assert jobs['cbr_tiny/random/seed0'].phase == 1
  transfer = jobs['cbr_tiny/transfer/seed0']
  assert transfer.source == 'cbr_tiny/pretrained'
  assert transfer.start == 3.0
  assert transfer.work == pytest.approx(1500 * 0.01 + 31 * 0.1)
  assert transfer.saves == 30


def test_finished_runs_are_left_out(tmp_path):
  plan, root = _plan(), str(tmp_path)
  (tmp_path / 'cbr_tiny' / 'pretrained').mkdir(parents=True)
  (tmp_path / 'cbr_tiny' / 'pretrained' / 'result.json').write_text('{}')
  assert len(_jobs(plan, root)) == len(_jobs(plan, 'none')) - 1
  # What is there is not waited for.
  (job,) = [j for j in _jobs(plan, root) if j.key == 'cbr_tiny/transfer/seed0']
  assert scheduling.critical_path([job]) == [job]


def _finish(root, key, **parts):
  folder = root / key
  folder.mkdir(parents=True)
  result = {
    'headline': 'auc',
    'test': {},
    'judged_step': 0,
    'num_test': 0,
    'num_train': 0,
    'num_validation': 50,
    'seconds': 1.0,
    'versions': {},
    'timing': parts,
  }
  (folder / 'result.json').write_text(json.dumps(result))


def test_finished_runs_tell_their_costs(tmp_path):
  plan = _plan(models=('cbr_tiny',), num_seeds=2)
  planned = {r.key: r.experiment for r in plan.all_runs(str(tmp_path))}
  usual = {
    'steps': (90, 0.9),
    'first_evaluations': (1, 0.2),
    'evaluations': (10, 1.0),
    'checkpoints': (10, 1.0),
    'end': (1, 0.5),
  }
  compiled = {'first_start': (1, 4.0), 'first_steps': (10, 3.1)} | usual
  shared = {'start': (1, 0.5), 'first_steps': (10, 0.1)} | usual
  weights = {'start': (1, 2.5), 'first_steps': (10, 0.1)} | usual
  _finish(tmp_path, 'cbr_tiny/random/seed0', **compiled)
  _finish(tmp_path, 'cbr_tiny/random/seed1', **shared)
  _finish(tmp_path, 'cbr_tiny/transfer/seed0', **weights)
  (tmp_path / 'cbr_tiny/transfer/seed1').mkdir()
  (tmp_path / 'cbr_tiny/transfer/seed1/result.json').write_text('{')
  (cost,) = finished_costs.read(planned, ['none', str(tmp_path)]).values()
  # A checkpoint is counted with the evaluation before it.
  expected = run_cost.Cost(
    compiling=6.5, run=1.0, weights=2.0, step=0.01, evaluation=0.2, image=0.004
  )
  for name, value in vars(expected).items():
    assert getattr(cost, name) == pytest.approx(value), name


def test_runs_of_another_size_have_other_costs(tmp_path):
  plan = _plan(models=('cbr_tiny',))
  run = plan.all_runs('none')[1].experiment
  larger = config.override(run, {'data.image_size': 512})
  assert finished_costs.kind_of(run) != finished_costs.kind_of(larger)
  other = config.override(run, {'seed': 5, 'train.train_steps': 7})
  assert finished_costs.kind_of(run) == finished_costs.kind_of(other)


def test_spending_by_hand():
  run = config.override(
    config.RETINA,
    {
      'train.train_steps': 1000,
      'train.eval_every': 100,
      'runtime.checkpoint_every': 200,
      'runtime.keep_checkpoints': 2,
      'train.batch_size': 10,
    },
  )
  sizes = spending.Sizes(
    {'resnet50': 1000},
    {'retina': {'train': 40 * 2**20, 'validation': 2**20}},
    {'retina': 2500},
  )
  taken = spending.of_run(run, 600.0, sizes)
  # Adam keeps two numbers for each weight; first, best and two checkpoints.
  assert taken.storage == 4 * 3 * 1000 * 4
  # Six checkpoints, two of which are deleted, eleven evaluations, ten minutes,
  # four epochs of three blocks, and one block an evaluation.
  assert taken.requests == 6 * 7 + 2 * 4 + 11 * 5 + 10 * 3 + 4 * 3 + 11
  assert (taken + taken).requests == 2 * taken.requests


def test_a_plan_and_a_list_of_the_paper_have_the_same_hours():
  plans = paper_runs.plans(['all'], scales.PAPER)
  phase = {p.key: costs.with_steps(p.at('none', '')) for p in plans}
  question = spending_text.Question(
    [phase], 'none', device_costs.GPU, scales.PAPER.num_validation
  )
  jobs = question.jobs(question.costs())
  listed = sum(
    costs.seconds(
      p.experiment,
      device_costs.GPU,
      scales.PAPER.num_validation[p.experiment.data.dataset],
    )
    for p in plans
  )
  assert sum(job.alone for job in jobs) == pytest.approx(listed)
  path = scheduling.critical_path(jobs)
  assert path[0].key.startswith('imagenet2012/')
  one = scheduling.simulate(jobs, 1).makespan
  # Runs of a group that follow one another are compiled once.
  assert one == pytest.approx(listed, rel=1e-3)
  many = scheduling.simulate(jobs, 128).makespan
  assert sum(job.alone for job in path) <= many < listed / 10


@pytest.mark.parametrize('kind', device_costs.KINDS.values(), ids=str)
def test_larger_runs_cost_more_on_every_kind(kind):
  small, large, long = (
    config.override(config.RETINA, {'train.train_steps': steps, **changes})
    for steps, changes in (
      (100, {'data.image_size': 224}),
      (100, {}),
      (300, {}),
    )
  )
  seconds = [kind.cost(run, 100).seconds(run) for run in (small, large, long)]
  assert seconds == sorted(seconds)
  own = config.override(large, {'model.name': 'my_nets:small'})
  assert kind.cost(own, 100).seconds(own) > 0


def test_bounds_are_those_of_the_compiled_steps():
  run = config.override(
    config.RETINA, {'train.precision': 'mixed_bfloat16'}
  )  # 587 px, batch 8, ResNet-50: the example of docs/tpu.md.
  assert step_bounds.seconds(run, 'v5e') == pytest.approx(0.012, rel=0.01)
  twice = config.override(run, {'train.batch_size': 16})
  assert step_bounds.seconds(twice, 'v5e') == pytest.approx(
    2 * step_bounds.seconds(run, 'v5e')
  )


def _files(folder):
  return sorted(map(str, folder.rglob('*')))


_REPRODUCE = ('reproduce.py', '--plan', '--target=table1', '--scale=demo')


def test_reproduce_plans_and_writes_nothing(server, tmp_path):
  made = processes.call(
    server,
    *_REPRODUCE,
    f'--output_dir={tmp_path}/study',
    '--plan_devices=1,4',
    '--plan_preempted_every=1h',
    '--plan_device=v5e',
  )
  assert made.returncode == 0, made.stderr
  for text in (
    'TPU v5e, estimated',
    'Critical path',
    'Requests',
    'every 60 minutes',
  ):
    assert text in made.stdout
  one, four = re.findall(r'^[14] +([\d.]+) (\w+)', made.stdout, re.MULTILINE)
  assert one[1] == four[1]
  assert float(one[0]) > float(four[0])
  assert _files(tmp_path) == []


@pytest.mark.parametrize(
  ('flag', 'text'),
  [
    ('--plan_devices=1,0', 'write numbers from 1'),
    ('--plan_devices=some', 'write numbers from 1'),
    ('--plan_preempted_every=often', 'write a number and s, m or h'),
    ('--plan_device=abacus', 'plan_device'),
    ('--plan_costs=nowhere', 'no such folder'),
    ('--plan_preempted_every=0.1s', 'has written a checkpoint'),
  ],
)
def test_a_plan_of_nonsense_is_one_line(server, tmp_path, flag, text):
  made = processes.call(server, *_REPRODUCE, f'--output_dir={tmp_path}', flag)
  assert made.returncode == 2
  assert text in made.stderr
  assert made.stderr.count('\n') == 1


def test_study_plans_and_writes_nothing(server, data_dir, tmp_path):
  made = processes.call(
    server,
    'study.py',
    '--plan',
    '--dataset=retina',
    f'--data_dir={data_dir}',
    '--recipe=demo_retina',
    '--image_size=32',
    '--models=cbr_tiny',
    '--inits=random',
    f'--output_dir={tmp_path}/study',
  )
  assert made.returncode == 0, made.stderr
  assert '3 of 3 runs are to be made' in made.stdout
  assert 'two CPU cores, estimated' in made.stdout
  assert _files(tmp_path) == []


def test_a_plan_prepares_no_images(server, tmp_path):
  raw = raw_sets.squares(tmp_path / 'raw')
  made = processes.call(
    server,
    *('study.py', '--plan', f'--data={raw}/here.csv', '--models=cbr_tiny'),
    f'--output_dir={tmp_path}/study',
  )
  assert made.returncode == 2
  assert '--plan prepares no images' in made.stderr
  assert not (tmp_path / 'study').exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize('num_processes', [1, 2])
def test_a_plan_predicts_how_long_runs_take(data_dir, tmp_path, num_processes):
  """From two seeds of each start, what six take; within a factor.

  docs/scale.md has how near it is on a machine that does nothing else.
  """
  base = prepared_sets.experiment(
    data_dir, train__train_steps=300, train__eval_every=50
  )
  plan = plan_lib.Plan(base, ('cbr_tiny',), ('random',), 2, {})
  pilot, root = str(tmp_path / 'pilot'), str(tmp_path / 'study')
  executor = executors.Local(num_processes)

  def phase(plan, root):
    return {run.key: run.experiment for run in plan.all_runs(root)}

  assert not runner.train(phase(plan, pilot), pilot, executor)
  whole = dataclasses.replace(plan, num_seeds=6)
  question = spending_text.Question(
    [phase(whole, root)], root, device_costs.TWO_CORES, {}, [pilot]
  )
  jobs = question.jobs(question.costs())
  predicted = scheduling.simulate(
    jobs, num_processes, order=scheduling.AsThePool()
  ).makespan
  began = time.monotonic()
  assert not runner.train(phase(whole, root), root, executor)
  measured = time.monotonic() - began
  assert predicted / 2 < measured < predicted * 2

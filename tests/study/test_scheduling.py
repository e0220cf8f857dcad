"""When runs end: schedules made by hand, laws, and expectations on paper."""

import dataclasses
import math

import numpy as np
import pytest

from transfusion_tf.study import process_pool
from transfusion_tf.study import scheduling

_Job = scheduling.Job


def _jobs(*lengths, **fields):
  return [_Job(f'{n}', length, **fields) for n, length in enumerate(lengths)]


def _random_jobs(seed, count=20):
  random = np.random.default_rng(seed)
  return [
    _Job(
      f'{n}',
      work=float(random.uniform(1, 8)),
      start=float(random.uniform(0, 0.5)),
      saves=int(random.integers(1, 6)),
      phase=int(n >= 3),
      source=str(n % 3) if n >= 3 and n % 2 else '',
    )
    for n in range(count)
  ]


def test_one_device_takes_the_sum():
  jobs = _jobs(3.0, 5.0, 2.0, start=1.0)
  made = scheduling.simulate(jobs, 1)
  assert made.makespan == made.busy == 13
  # The longest is first.
  assert made.ends == {'1': 6, '0': 10, '2': 13}


def test_schedules_by_hand():
  """List scheduling: 8 | 7 6 | ..., the next one where a device is free."""
  made = scheduling.simulate(_jobs(2.0, 3.0, 6.0, 7.0, 8.0), 2)
  # 8+3+2 on one device, 7+6 on the other.
  assert made.ends == {'4': 8, '3': 7, '2': 13, '1': 11, '0': 13}
  assert made.makespan == 13
  assert scheduling.simulate(_jobs(4.0, 4.0, 4.0), 2).makespan == 8
  assert scheduling.simulate(_jobs(4.0, 4.0, 4.0), 99).makespan == 4
  assert scheduling.simulate([], 3).makespan == 0


def test_runs_wait_for_the_weights_that_they_start_from():
  jobs = [
    _Job('short', 1.0),
    _Job('pretrained', 2.0),
    _Job('after', 5.0, source='pretrained'),
  ]
  assert scheduling.simulate(jobs, 2).ends == {
    'pretrained': 2,
    'short': 1,
    'after': 7,
  }
  path = scheduling.critical_path(jobs)
  assert [job.key for job in path] == ['pretrained', 'after']


def test_phases_wait_for_one_another():
  jobs = [*_jobs(2.0, 3.0), _Job('later', 1.0, phase=1)]
  assert scheduling.simulate(jobs, 8).ends['later'] == 4


def test_a_group_is_compiled_once_a_device():
  jobs = _jobs(1.0, 1.0, 1.0, 1.0, compiling=10.0, group='a')
  assert scheduling.simulate(jobs, 1).makespan == 14
  assert scheduling.simulate(jobs, 2).makespan == 12
  others = [dataclasses.replace(job, group=job.key) for job in jobs]
  assert scheduling.simulate(others, 1).makespan == 44


@pytest.mark.parametrize('seed', range(20))
def test_jobs_are_taken_as_the_pool_hands_them_out(seed):
  random = np.random.default_rng(seed)
  groups = {str(n): f'{random.integers(4)}' for n in range(15)}
  waiting, order = process_pool.Waiting(groups), scheduling.AsThePool()
  ready = [_Job(key, 1.0, group=group) for key, group in groups.items()]
  last = ['', '']
  while ready:
    device = random.integers(2)
    group, key = waiting.take(last[device])
    job = order(ready, last[device])
    assert (job.group, job.key) == (group, key)
    ready.remove(job)
    last[device] = group


@pytest.mark.parametrize('seed', range(10))
def test_laws_of_schedules(seed):
  """No less than the longest path and the mean load, no more than their sum."""
  jobs = _random_jobs(seed)
  total = sum(job.alone for job in jobs)
  path = sum(job.alone for job in scheduling.critical_path(jobs))
  for number in (1, 2, 5, 50):
    made = scheduling.simulate(jobs, number)
    assert max(path, total / number) - 1e-9 <= made.makespan <= total + 1e-9
    assert made.busy == pytest.approx(total)
    assert made.lost == made.preemptions == 0
    # Graham (1966): each phase by itself.
    longest = max(job.alone for job in jobs)
    assert made.makespan <= total / number + 2 * longest + 1e-9


def _mean(jobs, number, every, count=200):
  made = [
    scheduling.simulate(jobs, number, every, seed) for seed in range(count)
  ]
  return float(np.mean([each.makespan for each in made]))


def test_more_preemptions_are_never_faster_in_the_mean():
  jobs = _random_jobs(0, 12)
  means = [_mean(jobs, 3, every) for every in (math.inf, 50.0, 10.0, 4.0)]
  assert means == sorted(means)
  assert means[0] == scheduling.simulate(jobs, 3).makespan


def test_what_is_saved_is_not_done_again():
  jobs = _jobs(8.0, saves=8)
  made = [scheduling.simulate(jobs, 1, 3.0, seed) for seed in range(50)]
  assert sum(each.preemptions for each in made) > 50
  for each in made:
    # A second at most is lost each time.
    assert each.lost <= each.preemptions
    assert each.makespan == pytest.approx(8 + each.lost)
    assert each.busy == pytest.approx(each.makespan)


@pytest.mark.parametrize('every', [3.0, 10.0, 40.0])
@pytest.mark.parametrize('saves', [1, 4])
def test_the_mean_is_that_of_a_poisson_process(every, saves):
  """A stretch of t seconds, begun anew when cut, takes (e^(t/m) - 1) m.

  The first stretch has the start before it. A later one has it only after a
  preemption, which makes e^(start/m) (e^(t/m) - 1) m.
  """
  start, work = 0.5, 6.0
  part = math.exp(work / saves / every)
  begun = math.exp(start / every)
  expected = every * (begun * part - 1 + (saves - 1) * begun * (part - 1))
  job = _Job('job', work, start, saves=saves)
  made = [
    scheduling.simulate([job], 1, every, seed).makespan for seed in range(4000)
  ]
  error = np.std(made) / math.sqrt(len(made))
  assert np.mean(made) == pytest.approx(expected, abs=4 * error)


def test_the_same_seed_is_the_same_schedule():
  jobs = _random_jobs(3)
  one, two = (scheduling.simulate(jobs, 4, 5.0, seed=7) for _ in range(2))
  assert one == two
  assert one != scheduling.simulate(jobs, 4, 5.0, seed=8)

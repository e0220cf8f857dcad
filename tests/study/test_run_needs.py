"""What runs take of a cluster."""

import pytest

from transfusion_tf import config
from transfusion_tf.study import run_needs


def _run(size, batch=8, **changes):
  return config.override(
    config.RETINA,
    {'data.image_size': size, 'train.batch_size': batch} | changes,
  )


@pytest.mark.parametrize(
  ('size', 'batch', 'fraction'),
  [(64, 16, 0.25), (224, 32, 0.25), (587, 8, 0.5), (587, 64, 1.0)],
)
def test_small_runs_share_a_gpu(size, batch, fraction):
  assert run_needs.fraction_of_gpu(_run(size, batch)) == fraction


def test_fractions_fill_a_gpu_without_a_rest():
  for size in range(32, 1000, 50):
    count = 1 / run_needs.fraction_of_gpu(_run(size))
    assert count == int(count)


def test_what_is_said_goes_before_what_is_estimated():
  few, wanted = _run(64), run_needs.Wanted(cpus=3, gpus=0.5)
  assert run_needs.Wanted().of_run(few, has_gpus=False) == run_needs.ONE_CORE
  assert run_needs.Wanted().of_run(few, has_gpus=True).gpus == 0.25
  needs = wanted.of_run(few, has_gpus=False)
  assert needs.amounts == {'CPU': 3, 'GPU': 0.5}


def test_a_run_of_several_workers_has_whole_machines():
  run = _run(64, **{'runtime.strategy': 'multi_worker'})
  wanted = run_needs.Wanted(nodes=4, resources={'TPU-v5e-8-head': 1})
  needs = wanted.of_run(run, has_gpus=True)
  assert needs.nodes == 4
  assert needs.amounts['TPU-v5e-8-head'] == 1
  assert not wanted.of_run(_run(64), has_gpus=True).nodes


def test_longer_and_larger_runs_come_first():
  sizes = [run_needs.size(_run(*each)) for each in ((64,), (64, 16), (224, 16))]
  assert sizes == sorted(sizes)
  tiny = {'model.name': 'cbr_tiny', 'train.train_steps': 10}
  large = {'model.name': 'resnet50', 'train.train_steps': 10}
  assert run_needs.size(_run(64, **tiny)) < run_needs.size(_run(64, **large))
  own = {'model.name': 'my_nets:small', 'train.train_steps': 10}
  assert run_needs.size(_run(64, **own)) > 0

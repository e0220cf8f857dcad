"""Precision and compilation: what a TPU needs, as far as a CPU can show."""

import re

import host_xla
import keras
import numpy as np
import prepared_sets
import pytest
import runs
import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf.run import build as run_lib
from transfusion_tf.run import train_and_evaluate
from transfusion_tf.train import compute
from transfusion_tf.train import step as step_lib
from transfusion_tf.train import strategy as strategy_lib

# What a compiled program calls the host with.
_HOST_CALLS = r'\b(outfeed|infeed|send|recv|custom-call)\('


def _train_step(data_dir, **changes):
  built = run_lib.build(prepared_sets.experiment(data_dir, **changes))
  optimizer = keras.optimizers.Adam(0.001)
  optimizer.build(built.model.trainable_variables)
  train_step = step_lib.TrainStep(
    built.strategy,
    built.model,
    optimizer,
    built.prepare_training,
    built.task.loss,
    built.experiment.train.batch_size,
    weight_decay=1e-4,
  )
  return built, train_step


@host_xla.needed
@pytest.mark.parametrize(
  'changes',
  [
    {},
    pytest.param(
      {'train__precision': 'mixed_bfloat16'}, marks=pytest.mark.slow
    ),
    pytest.param({'model__name': 'resnet50'}, marks=pytest.mark.slow),
    pytest.param({'model__name': 'inception_v3'}, marks=pytest.mark.slow),
  ],
  ids=lambda changes: '-'.join(map(str, changes.values())) or 'float32',
)
def test_a_whole_step_compiles_and_never_calls_the_host(data_dir, changes):
  """Input as uint8, augmentation, both passes and the update, in one."""
  if 'model__name' in changes:
    changes |= {'data__image_size': 96}
  built, train_step = _train_step(data_dir, **changes)
  batches = built.training_batches(0)
  batch = next(iter(batches))
  for spec in tf.nest.flatten(batches.element_spec):
    assert spec.shape.is_fully_defined()

  def whole(batch):
    return built.strategy.run(train_step._replica_step, (batch,))

  compiled = tf.function(whole, jit_compile=True, autograph=False)
  program = compiled.experimental_get_compiler_ir(batch)(stage='hlo')
  assert not re.findall(_HOST_CALLS, program)
  assert '<=' not in re.sub(r'metadata=\{.*?\}', '', program)  # Static shapes.
  before = [v.numpy() for v in built.model.variables]
  loss = float(compiled(batch))
  stepped = [v.numpy() for v in built.model.variables]
  assert any((a != b).any() for a, b in zip(before, stepped, strict=True))
  # The same step, not compiled, from the same weights and random states.
  for variable, value in zip(built.model.variables, before, strict=True):
    variable.assign(value)
  expected = float(tf.function(whole, autograph=False)(batch))
  assert loss == pytest.approx(expected, rel=0.05 if changes else 1e-4)


@host_xla.needed
def test_evaluation_compiles_and_never_calls_the_host(data_dir):
  built, _ = _train_step(data_dir)
  images = tf.zeros([8, prepared_sets.SIZE, prepared_sets.SIZE, 3], tf.uint8)

  @tf.function(jit_compile=True, autograph=False)
  def forward(images):
    return built.model(built.prepare_evaluation(images), training=False)

  program = forward.experimental_get_compiler_ir(images)(stage='hlo')
  assert not re.findall(_HOST_CALLS, program)


@pytest.mark.parametrize(
  'changes',
  [
    {'train__precision': 'mixed_bfloat16'},
    {'train__precision': 'mixed_float16'},
    pytest.param({'runtime__xla': 'on'}, marks=host_xla.needed),
  ],
  ids=lambda changes: '-'.join(changes.values()),
)
def test_a_short_run(data_dir, tmp_path, changes):
  train_and_evaluate.run(
    prepared_sets.experiment(
      data_dir, train__train_steps=2, train__eval_every=2, **changes
    ),
    str(tmp_path / 'run'),
  )
  # The weights stay in float32, and they move.
  first, last = (runs.state(tmp_path / 'run', step) for step in (0, 2))
  kernel = 'model/conv4.Skernel/.ATTRIBUTES/VARIABLE_VALUE'
  assert last[kernel].dtype == np.float32
  assert np.abs(last[kernel] - first[kernel]).max() > 1e-4
  if 'mixed_float16' in changes.values():
    assert any('dynamic_scale' in name for name in last)


@pytest.mark.parametrize(
  ('changes', 'expected'),
  [
    ({}, False),
    pytest.param({'runtime.xla': 'on'}, True, marks=host_xla.needed),
    ({'runtime.xla': 'off'}, False),
  ],
)
def test_xla_is_off_on_a_cpu_unless_asked_for(changes, expected):
  strategy = tf.distribute.OneDeviceStrategy('/cpu:0')
  experiment = config.override(config.RETINA, changes)
  assert compute.wants_xla(strategy, experiment) == expected


def test_what_xla_cannot_do_is_refused():
  strategy = tf.distribute.OneDeviceStrategy('/cpu:0')
  experiment = config.override(
    config.RETINA, {'runtime.xla': 'on', 'train.deterministic': True}
  )
  with pytest.raises(errors.InputError, match='does not go with deterministic'):
    compute.wants_xla(strategy, experiment)


def test_auto_precision_is_float32_without_an_accelerator():
  strategy = tf.distribute.OneDeviceStrategy('/cpu:0')
  assert compute.precision(strategy, 'auto') == 'float32'
  assert compute.precision(strategy, 'mixed_float16') == 'mixed_float16'


def test_slurm_tells_the_hosts_and_the_rank(monkeypatch):
  for name, value in {
    'SLURM_PROCID': '2',
    'SLURM_STEP_NUM_TASKS': '3',
    'SLURM_STEP_NODELIST': 'big1,gpu[07-08]',
    'SLURM_STEP_TASKS_PER_NODE': '1(x3)',
  }.items():
    monkeypatch.setenv(name, value)
  resolver = strategy_lib._slurm()
  assert resolver.cluster_spec().as_dict() == {
    'worker': ['big1:8888', 'gpu07:8888', 'gpu08:8888']
  }
  assert (resolver.task_type, resolver.task_id) == ('worker', 2)

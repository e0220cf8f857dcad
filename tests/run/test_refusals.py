"""Disks that are full or read-only, and settings that cannot be."""

import contextlib
import os
import subprocess

import keras
import numpy as np
import prepared_sets
import pytest
import runs

from transfusion_tf import errors
from transfusion_tf import run_folder
from transfusion_tf.run import train_and_evaluate


@contextlib.contextmanager
def _disk(path, megabytes):
  """A small disk of its own."""
  path.mkdir()
  made = subprocess.run(
    ['mount', '-t', 'tmpfs', '-o', f'size={megabytes}m', 'tmpfs', str(path)],
    capture_output=True,
  )
  if made.returncode:
    pytest.skip(f'cannot mount a small disk: {made.stderr.decode()}')
  try:
    yield path
  finally:
    subprocess.run(['umount', '-l', str(path)], check=True)


def _remount(path, options):
  subprocess.run(['mount', '-o', f'remount,{options}', str(path)], check=True)


def _run(data_dir, run_dir, **changes):
  return train_and_evaluate.run(_experiment(data_dir, **changes), str(run_dir))


def _experiment(data_dir, **changes):
  defaults = {'train__train_steps': 4, 'train__eval_every': 1}
  return prepared_sets.experiment(
    data_dir, runtime__keep_checkpoints=9, **defaults | changes
  )


def test_a_full_disk_keeps_what_is_there_and_room_makes_it_go_on(
  data_dir, tmp_path
):
  with _disk(tmp_path / 'disk', 32) as disk:
    run_dir = disk / 'run'
    with pytest.raises(errors.RunError, match='No space left') as caught:
      _run(data_dir, run_dir)
    assert '\n' not in str(caught.value)
    saved = runs.steps(run_dir)
    assert saved == [0, 1]  # Of 13 MB each.
    for step in saved:  # Every value of each can still be read.
      assert all(
        np.isfinite(v).all() for v in runs.state(run_dir, step).values()
      )
    _remount(disk, 'size=96m')
    assert _run(data_dir, run_dir)['last_step'] == 4
    assert runs.steps(run_dir) == list(range(5))


def test_a_read_only_folder_is_refused_in_one_line(data_dir, tmp_path):
  with _disk(tmp_path / 'disk', 1) as disk:
    _remount(disk, 'ro')
    with pytest.raises(errors.InputError, match='cannot be written') as caught:
      _run(data_dir, disk / 'run')
    assert '\n' not in str(caught.value)
    assert 'choose another --run_dir' in str(caught.value)


def test_another_config_is_refused_with_all_that_differs(data_dir, tmp_path):
  run_dir = tmp_path / 'run'
  _run(data_dir, run_dir, train__train_steps=1)
  os.remove(run_dir / run_folder.RESULT)
  with pytest.raises(errors.InputError) as caught:
    _run(data_dir, run_dir, seed=3, optimizer__name='sgd', train__train_steps=2)
  for difference in (
    'seed: 0 -> 3',
    "optimizer.name: 'adam' -> 'sgd'",
    'train.train_steps: 1 -> 2',
  ):
    assert difference in str(caught.value)
  # What may change between two sittings may.
  run_folder.check(
    _experiment(data_dir, train__train_steps=1, runtime__steps_per_call=7),
    str(run_dir),
  )


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'train__lanes': 3}, 'batch of 8 does not divide by 3'),
    ({'train__precision': 'mixed_float'}, "did you mean 'mixed_float16'"),
    ({'runtime__xla': 'yes'}, 'unknown xla'),
    ({'runtime__strategy': 'multi_worker'}, 'needs TF_CONFIG or a Slurm step'),
    ({'runtime__strategy': 'tpu', 'runtime__tpu': 'local'}, 'no such TPU'),
  ],
  ids=lambda value: '-'.join(value) if isinstance(value, dict) else '',
)
def test_settings_that_cannot_be_are_refused(
  data_dir, tmp_path, changes, message
):
  with pytest.raises(errors.InputError, match=message) as caught:
    _run(data_dir, tmp_path / 'run', **changes)
  assert '\n' not in str(caught.value)
  assert not runs.steps(tmp_path / 'run')


def linear(num_classes, input_shape):
  """Overflows with its weights; a ReLU takes NaN for 0 on some processors."""
  layers = [
    keras.layers.Conv2D(4, 3, strides=4),
    keras.layers.GlobalAveragePooling2D(),
    keras.layers.Dense(num_classes),
  ]
  return keras.Sequential([keras.Input(input_shape), *layers])


def test_when_scores_are_no_numbers_the_last_checkpoint_is_kept(
  data_dir, tmp_path
):
  run_dir = tmp_path / 'run'
  with pytest.raises(errors.RunError, match='step 1') as caught:
    _run(
      data_dir,
      run_dir,
      model__name=f'{__name__}:linear',
      optimizer__learning_rate=3e38,
    )
  assert 'lower --learning_rate' in str(caught.value)
  assert runs.steps(run_dir) == [0]
  assert all(np.isfinite(v).all() for v in runs.state(run_dir).values())

"""The kinds of devices are recorded, and told where they differ."""

import platform

import pandas as pd
import prepared_sets

from transfusion_tf import run_folder
from transfusion_tf.run import train_and_evaluate
from transfusion_tf.study import device_kinds
from transfusion_tf.study import results


def _result(kind):
  return {'devices': {kind: 1}} if kind else {}  # As earlier versions did.


def _runs(**kinds):
  """Return start -> runs, one on each of its kinds."""
  return {
    start: [
      results.Result('key', 'run', None, _result(kind), pd.DataFrame())
      for kind in of_start
    ]
    for start, of_start in kinds.items()
  }


def test_a_result_names_its_devices(data_dir, tmp_path):
  experiment = prepared_sets.experiment(data_dir, train__train_steps=3)
  train_and_evaluate.run(experiment, str(tmp_path))
  ((kind, count),) = run_folder.result(str(tmp_path))['devices'].items()
  assert kind and kind != 'GPU'
  assert count == 1
  if platform.system() == 'Linux' and platform.machine() == 'x86_64':
    assert kind in open('/proc/cpuinfo', encoding='utf-8').read()


def test_starts_on_several_kinds_are_told():
  runs = _runs(random=['A100', 'A100'], transfer=['A100', 'T4'])
  (said,) = device_kinds.differing({'cbr_tiny': runs})
  assert 'CBR-Tiny' in said
  assert 'A100: Random' in said
  assert 'T4: Transfer' in said


def test_one_kind_is_nothing_to_tell():
  runs = _runs(random=['A100'], transfer=['A100'], mean_var=[''])
  assert not list(device_kinds.differing({'cbr_tiny': runs}))
  assert device_kinds.used(r for seeds in runs.values() for r in seeds) == (
    'Run on A100.'
  )
  assert not device_kinds.used([])

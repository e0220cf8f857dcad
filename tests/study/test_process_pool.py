"""Runs in processes of their own: how they start, and how they end."""

import ast
import os
import subprocess
import sys
import threading
import time

import prepared_sets
import pytest

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import run_folder
from transfusion_tf.study import process_pool

_START = """
import sys
from transfusion_tf.study import process_pool
"""
_LOOK = """
with process_pool._context().Pool(1) as pool:
  print(pool.apply(eval, ("'tensorflow' in __import__('sys').modules",)))
"""
_TRAIN = """
import functools
from transfusion_tf import config
from transfusion_tf.run import train_and_evaluate
experiment = config.load(sys.argv[1])
job = functools.partial(train_and_evaluate.run, experiment, sys.argv[2])
print(list(process_pool.each({'run': job}, 2)))
"""
_SETTINGS = """
import functools
look = (
  "import keras; from transfusion_tf import errors; c = keras.config; "
  "raise errors.InputError(f'{c.backend()} {c.floatx()} {c.epsilon()} "
  "{c.image_data_format()}')"
)
print(dict(process_pool.each({'a': functools.partial(exec, look)}, 2))['a'])
"""
_FAIL = """
import functools
jobs = {'bug': functools.partial(exec, '1 / 0'), 'good': print}
for num_processes in (1, 2):
  print(sorted(process_pool.each(jobs, num_processes)))
"""
_GROUPS = """
import functools
ran = (
  'import os, pathlib, time; ran = globals().setdefault("ran", []); '
  'ran.append({0!r}); time.sleep(.2); '
  'pathlib.Path({1!r}, {0!r}).write_text(" ".join(ran)); {2}'
)
last = {'a1': 'raise KeyError', 'a2': 'os.kill(os.getpid(), 9)'}
keys = ['a0', 'b0', 'a1', 'b1', 'a2', 'a3', 'a4']
jobs = {
  key: functools.partial(exec, ran.format(key, sys.argv[1], last.get(key, '')))
  for key in keys
}
groups = {key: key[0] for key in keys}
print(sorted(process_pool.each(jobs, 2, groups, dict)))
"""

_UNTIL = """
import functools, time
nap = functools.partial(time.sleep, 0.5)
first = {str(number): nap for number in range(240)}
for num_processes in (1, 2):
  until = time.monotonic() + 2
  results = list(process_pool.each(first, num_processes, until=until))
  in_time = time.monotonic() < until + 40
  print(len(results), {error for _, error in results}, in_time)
"""


def _python(program, *arguments, **settings):
  return subprocess.Popen(
    [sys.executable, '-c', _START + program, *arguments],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    **settings,
  )


def test_processes_start_with_tensorflow_imported():
  """Or each run would take seconds longer, and nobody would say so."""
  printed, complaints = _python(_LOOK).communicate()
  assert printed.strip() == 'True'
  assert not complaints


def test_processes_have_the_settings_of_every_command(tmp_path):
  """Whatever the user's keras.json, modules of Python's names and TMPDIR."""
  (tmp_path / 'keras.json').write_text(
    '{"floatx": "float16", "epsilon": 0.1, "image_data_format": '
    '"channels_first"}'
  )
  for name in ('selectors', 'random', 'numpy'):
    path = tmp_path / f'{name}.py'
    path.write_text('raise SystemExit("neither Python\'s nor NumPy\'s")')
  # The parent is not in the user's folder itself: `python -c` would take it.
  program = f'import os; os.chdir({str(tmp_path)!r})\n{_SETTINGS}'
  users = {'KERAS_HOME': str(tmp_path), 'KERAS_BACKEND': 'jax'}
  # A socket's path has at most 107 bytes.
  users['TMPDIR'] = str(tmp_path / ('x' * 110))
  os.mkdir(users['TMPDIR'])
  process = _python(program, env=os.environ | users)
  printed, complaints = process.communicate()
  assert printed.strip() == 'tensorflow float32 1e-07 channels_last'
  assert not complaints


def test_a_group_shares_until_its_process_ends(tmp_path):
  """A process whose group has ended helps with the other's."""
  printed, complaints = _python(_GROUPS, str(tmp_path)).communicate()
  errors_of = dict(ast.literal_eval(printed))
  assert errors_of.keys() == {'a0', 'b0', 'a1', 'b1', 'a2', 'a3', 'a4'}
  failed = {key: error for key, error in errors_of.items() if error}
  assert failed.keys() == {'a1', 'a2'}, complaints
  assert 'KeyError' in failed['a1']
  assert failed['a2'] == 'its process ended with code -9'
  ran = {path.name: path.read_text() for path in tmp_path.iterdir()}
  assert ran['a0'] == 'a0'
  assert ran['b1'] == 'b0 b1'
  assert 'b' not in ran['a4']
  assert ran['a1'] == 'a0 a1'


@pytest.mark.slow
def test_what_does_not_fit_in_the_time_is_no_failure():
  """At one a half second, 240 jobs take one or two minutes, not two seconds."""
  printed, complaints = _python(_UNTIL).communicate()
  for line in printed.splitlines():
    count, rest = line.split(' ', 1)
    assert int(count) < 12
    assert rest in ("{''} True", 'set() True'), complaints
  assert len(printed.splitlines()) == 2, complaints


@pytest.mark.slow
def test_any_exception_of_a_job_leaves_the_others():
  printed, complaints = _python(_FAIL).communicate()
  for line in printed.splitlines():
    if line:
      assert "('bug', 'ZeroDivisionError: division by zero" in line
      assert "('good', '')" in line
  assert printed.count('ZeroDivisionError') == 2, complaints


def test_a_killed_study_leaves_no_run_that_holds_its_folder(data_dir, tmp_path):
  run_dir = tmp_path / 'run'
  experiment = prepared_sets.experiment(
    data_dir, train__train_steps=100_000, train__eval_every=5
  )
  config.save(experiment, tmp_path / 'config.json')
  study = _python(_TRAIN, str(tmp_path / 'config.json'), str(run_dir))
  while not (run_dir / run_folder.METRICS).exists():
    assert study.poll() is None, study.stderr.read()
    time.sleep(0.1)
  with pytest.raises(errors.InputError, match='another process'):
    _claim(experiment, run_dir)
  study.kill()
  study.wait()
  for _ in range(50):
    time.sleep(0.1)
    try:
      return _claim(experiment, run_dir)
    except errors.InputError:
      continue
  raise AssertionError('the run goes on')


def _claim(experiment, run_dir):
  with run_folder.claim(experiment, str(run_dir)):
    pass


def test_other_threads_keep_their_environment():
  """One that reads a bucket meanwhile finds it by its variables."""
  lost = []
  ended = threading.Event()

  def watch():
    while not ended.is_set():
      if 'HOME' not in os.environ:
        lost.append(1)

  before = dict(os.environ)
  watcher = threading.Thread(target=watch)
  watcher.start()
  for _ in range(300):
    with process_pool._environment():
      assert os.environ['PYTHONSAFEPATH'] == '1'
  ended.set()
  watcher.join()
  assert not lost
  assert dict(os.environ) == before

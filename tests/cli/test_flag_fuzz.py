"""Command lines drawn from the flags themselves: a run, or one line."""

import json
import operator
import os
import subprocess
import sys

import hypothesis
from hypothesis import strategies as st
import paths
import pytest

from transfusion_tf import config
from transfusion_tf import models
from transfusion_tf.init import schemes

# Command -> what it does not begin without.
_NEEDED = {
  'train': '--recipe=demo_retina --dataset=retina --data_dir=x --run_dir=x',
  'study': '--images=x --output_dir=x',
  'evaluate': '--run_dir=x',
  'export': '--run_dir=x --export_dir=x',
  'export_data': '--data_dir=x --dataset=x --output_dir=x',
  'predict': '--run_dir=x --images=x --output=x.csv',
  'heat_maps': '--run_dir=x --images=x --output=x.html',
  'extract_activations': '--run_dir=x --output=x',
  'svcca': '--a=x --b=x',
  'prepare_data': '--dataset=retina --manual_dir=x --data_dir=x',
  'make_demo_data': '--raw_dir=x',
  'import_slim': '--checkpoint=x --model=resnet50 --output=x.npz',
  'reproduce': '--target=table1 --output_dir=x --data_dir=x',
  'compile_for_tpu': '--model=cbr_tiny',
  'benchmark': '--suite=svcca',
}
_FAST, _MANY = 8, 600  # Lines of each command.
_NUMBERS = (
  *('nan', 'inf', '-inf', '1e400', '', '-0', '1e-320', '0x10', '1_0', '٣'),
  *(2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1, 2**63 - 1, 2**63, -(2**63)),
  *('9' * 5000, '1.5', 'None', 'True', ' 1', '3.4e38', '3.5e38'),
)
_TEXTS = (
  *(
    'nan',
    '1e400,1',
    'inf',
    '0.1,0.01',
    '',
    ' ',
    '.',
    '..',
    '/',
    '/dev/full',
    '/dev/null',
    '/etc/hostname',
    'a,a',
  ),
  *('os:abort', 'os:getcwd', 'os:_exit', ':', 'a:b', 'gs:', 'a/../..', '~'),
  *('imagenet', 'retina', 'demo_retina', 'image_table', 'table1', 'demo', ','),
  *('cbr_tiny=os:abort', 'cbr_tiny=x', '=', 'a=b=c', 'transfer@', '@', '1,1'),
  *('\udcff', 'a\x00b', 'a\nb', '\u202e', '<b>', '$x$', 'x' * 5000, '-', '--'),
  *(*models.NAMES, *schemes.names(), *config.RECIPES),
)


class _Reader:
  """A process that reads command lines of a binary."""

  def __init__(self, name):
    self._process = subprocess.Popen(
      [sys.executable, paths.TESTS / 'support' / 'flag_reader.py', name],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
      env=os.environ | {'PYTHONPATH': os.pathsep.join(sys.path)},
    )
    self.flags = json.loads(self._process.stdout.readline())

  def __call__(self, arguments):
    self._process.stdin.write(json.dumps(arguments) + '\n')
    self._process.stdin.flush()
    line = self._process.stdout.readline()
    assert line, f'the process has ended with {self._process.wait()}'
    return json.loads(line)

  def close(self):
    self._process.kill()
    self._process.communicate()


def _values(flag):
  """Values of a flag: of its range mostly, at its ends, and no values."""
  low, high = flag['low'], flag['high']
  texts = st.sampled_from(_TEXTS) | st.text(max_size=20)
  # The first are drawn as often as all.
  odd = st.sampled_from(_NUMBERS[:4]) | st.sampled_from(_NUMBERS)
  numbers = odd.map(str)
  if flag['choices']:
    return st.sampled_from(flag['choices']) | texts
  if flag['kind'] == 'bool':
    return st.sampled_from(['true', 'false', '0', 'maybe', ''])
  if flag['kind'] == 'int':
    ends = [e + d for e in (low, high) if e is not None for d in (-1, 0, 1)]
    inside = st.integers(low or 0, high if high is not None else 2**31 - 1)
    return st.one_of(inside, st.sampled_from(ends or [0]), numbers).map(str)
  if flag['kind'] == 'float':
    inside = st.floats(low or 0, high if high is not None else 1e6)
    return st.one_of(inside, st.floats(), numbers).map(str)
  return texts


def _lines(flags, needed):
  """Command lines: what is needed mostly, some flags, seldom a stray word."""
  one = st.sampled_from(flags).flatmap(
    lambda flag: _values(flag).map(lambda value: f'--{flag["name"]}={value}')
  )
  stray = st.sampled_from(
    [[w] for w in ('x', '--', '-', '--nope', '--=', '--flagfile=/', '')]
  )
  begun = st.sampled_from([[], needed, needed, needed])
  few = st.lists(one, max_size=4)
  return st.builds(operator.add, begun, few) | st.builds(
    operator.add, begun, few.flatmap(lambda words: stray.map(words.__add__))
  )


def _check(name, count):
  reader = _Reader(name)

  @hypothesis.settings(
    max_examples=count,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(hypothesis.HealthCheck),
  )
  @hypothesis.given(_lines(reader.flags, _NEEDED[name].split()))
  def law(arguments):
    answer = reader(arguments)
    assert 'trace' not in answer, answer['trace']
    if answer['code']:
      assert answer['code'] == 2
      assert answer['error'].count('\n') == 1, answer['error']
    else:
      assert not answer['error']
      _check_sensible(answer)

  try:
    law()
  finally:
    reader.close()


def _check_sensible(answer):
  """Each number of an accepted run is in the range of its field."""
  for path, field in config.fields() if 'config' in answer else ():
    part = answer['config']
    for name in path.split('.'):
      part = part[name]
    flag = config.flag_of(field)
    if flag and flag.kind in (int, float) and part != field.default:
      assert flag.low <= part <= flag.high, path


@pytest.mark.parametrize('name', list(_NEEDED))
def test_a_sample_of_command_lines(name):
  _check(name, _FAST)


@pytest.mark.fuzz
@pytest.mark.timeout(3600)
@pytest.mark.parametrize('name', list(_NEEDED))
def test_command_lines(name):
  _check(name, _MANY)

"""Commands that write, stopped at any moment, and two of them at once."""

import os
import signal
import time

import processes
import pytest
import stops
import writing_commands


def _stop_and_finish(start, command, folder, num_stops, signals=None, seed=0):
  """Stops a command at any moment, then lets it end."""
  undisturbed = folder / 'undisturbed' / 'out'
  began = time.monotonic()
  process = start(command, undisturbed)
  assert process.wait() == 0, process.complaints
  seconds = time.monotonic() - began
  moments = stops.moments(seed)
  for turn in range(num_stops):
    out = folder / f'run{turn // 2}' / 'out'
    number, fraction = next(moments)
    number = signals[turn] if signals else number
    # One of two is a new interpreter.
    new = {'server': processes.Interpreters()} if turn % 2 else {}
    left = set(stops.scratch(folder / 'scratch'))  # By one that was killed.
    in_time = stops.stop(start(command, out, **new), number, fraction * seconds)
    print(command, turn, number.name, f'{fraction:.2f}', in_time, flush=True)
    now = set(stops.scratch(folder / 'scratch'))
    assert number == signal.SIGKILL or now <= left
    if turn % 2:
      process = start(command, out)
      assert process.wait() == 0, process.complaints
      writing_commands.check(command, out, undisturbed)
      assert not stops.scratch(folder / 'scratch')


@pytest.fixture(autouse=True)
def _folders(tmp_path):
  for name in ('undisturbed', *(f'run{n}' for n in range(40)), 'twins'):
    (tmp_path / name).mkdir()


def test_no_process_outlives_its_parent(start, tmp_path):
  """Workers end, and the next command deletes what the last one began."""
  signals = [signal.SIGKILL, signal.SIGTERM]
  _stop_and_finish(start, 'make_demo_data', tmp_path, 2, signals)


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize('command', writing_commands.COMMANDS)
def test_stopped_at_any_moment(start, tmp_path, command):
  count = int(os.environ.get('STOPS', 20))
  _stop_and_finish(start, command, tmp_path, count, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize('command', writing_commands.COMMANDS)
def test_two_at_once(start, tmp_path, command):
  """Both end well, or one is refused in one line."""
  out = tmp_path / 'twins' / 'out'
  pair = [start(command, out) for _ in range(2)]
  codes = sorted(process.wait(600) for process in pair)
  said = [process.complaints for process in pair]
  assert codes in ([0, 0], [0, 2]), said
  refusals = [text for text in said if command + '.py: ' in text]
  assert len(refusals) == codes.count(2), said
  assert start(command, out).wait() in (0, 2)
  undisturbed = tmp_path / 'undisturbed' / 'out'
  assert start(command, undisturbed).wait() == 0
  writing_commands.check(command, out, undisturbed)

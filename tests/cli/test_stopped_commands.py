"""Commands that write, stopped at any moment, and two of them at once."""

import hashlib
import os
import signal
import time

import paths
import prepared_sets
import processes
import pytest
import stops

_DEMO = ('--set=retina', '--num_patients=60', '--image_size=64')
_STUDY = (
  *('--dataset=retina', '--models=cbr_tiny', '--inits=random'),
  *('--seeds=2', '--epochs=1', '--num_processes=2', '--noprobes'),
  *('--image_size=32', '--batch_size=16', '--nolocate_benefit'),
)
# Command -> its flags, for a folder to write to. Those of `exact` write the
# same bytes each time; of the others, files with the same names.
_COMMANDS = {
  'make_demo_data': lambda root, out: [f'--raw_dir={out}', *_DEMO],
  'prepare_data': lambda root, out: [
    *(f'--manual_dir={root}/raw/retina', f'--data_dir={out}'),
    *('--dataset=retina', '--image_size=48'),
  ],
  'extract_activations': lambda root, out: [
    *(f'--run_dir={root}/run', f'--output={out}'),
  ],
  'svcca': lambda root, out: [
    *(f'--a={root}/run@init', f'--b={root}/run', f'--output={out}.json'),
    *('--layers=conv1,conv2', '--num_patches=2000'),
  ],
  'evaluate': lambda root, out: [f'--run_dir={_copy(root, out)}'],
  'export': lambda root, out: [
    *(f'--run_dir={root}/run', f'--export_dir={out}', '--overwrite'),
  ],
  'study': lambda root, out: [
    *(f'--data_dir={root}/data', f'--output_dir={out}', *_STUDY),
  ],
  'reproduce': lambda root, out: [
    *('--target=table5', '--quick', '--draw_only', f'--output_dir={out}'),
  ],
}
_EXACT = ('make_demo_data', 'prepare_data', 'extract_activations', 'svcca')


def _copy(root, out):
  """Links to the files of a run, in a folder of its own."""
  run = root / 'run'
  for path in run.rglob('*'):
    if path.is_file() and not path.name.startswith('scores_'):
      link = out / path.relative_to(run)
      link.parent.mkdir(parents=True, exist_ok=True)
      if not link.exists():
        os.link(path, link)
  return out


@pytest.fixture(scope='module')
def root(server, data_dir, tmp_path_factory):
  """Photographs, a data set and a run."""
  root = tmp_path_factory.mktemp('root')
  flags = (f'--raw_dir={root}/raw', *_DEMO)
  assert not processes.call(server, 'make_demo_data.py', *flags).returncode
  (root / 'data').symlink_to(data_dir)
  experiment = prepared_sets.experiment(root / 'data')
  processes.train(server, experiment, root / 'run').succeed()
  return root


@pytest.fixture
def start(server, request, tmp_path):
  """Starts a command: `start('export', OUT)`."""
  scratch = tmp_path / 'scratch'
  scratch.mkdir()

  def start(command, out, server=server):
    needs_root = command != 'make_demo_data'
    root = request.getfixturevalue('root') if needs_root else None
    log = tmp_path / f'{command}.{len(list(tmp_path.iterdir()))}'
    return processes.Process(
      server,
      paths.BIN / f'{command}.py',
      _COMMANDS[command](root, out),
      f'{log}.log',
      {'TMPDIR': str(scratch)},
      f'{log}.errors',
    )

  return start


def _files(out):
  """The files of a folder, or one that is called OUT.json: name -> digest."""
  found = [out.with_name(f'{out.name}.json'), *out.rglob('*')]
  return {
    str(path).removeprefix(str(out)): hashlib.sha256(
      path.read_bytes()
    ).hexdigest()
    for path in found
    if path.is_file() and 'tfevents' not in path.name  # Named by the time.
  }


def _check(command, out, undisturbed):
  """What a command has made is as if nothing had happened to it."""
  files, expected = _files(out), _files(undisturbed)
  assert files.keys() == expected.keys()
  if command in _EXACT:
    assert files == expected
  assert not [name for name in os.listdir(out.parent) if 'partial' in name]
  assert not [path for path in out.rglob('incomplete*')]


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
    in_time = stops.stop(start(command, out, **new), number, fraction * seconds)
    print(command, turn, number.name, f'{fraction:.2f}', in_time, flush=True)
    assert number == signal.SIGKILL or not stops.scratch(folder / 'scratch')
    if turn % 2:
      process = start(command, out)
      assert process.wait() == 0, process.complaints
      _check(command, out, undisturbed)
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
@pytest.mark.parametrize('command', _COMMANDS)
def test_stopped_at_any_moment(start, tmp_path, command):
  count = int(os.environ.get('STOPS', 20))
  _stop_and_finish(start, command, tmp_path, count, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize('command', _COMMANDS)
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
  _check(command, out, undisturbed)

"""Runs compared: by checkpoint, from disk, and as the paper's figures."""

import json
import os
import pathlib
import shutil

import numpy as np
import paths
import prepared_sets
import processes
import pytest
import runs as runs_lib
import stops

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import run_folder
from transfusion_tf.analysis import compare_runs
from transfusion_tf.analysis import sampling as sampling_lib
from transfusion_tf.run import build as run_lib

_SAMPLING = sampling_lib.Sampling(num_patches=500, num_channels=16, repeats=2)
_FEW = sampling_lib.Sampling(num_patches=4, num_channels=16, repeats=3)
_LAYERS = ['conv1', 'conv2']


@pytest.fixture(scope='module')
def runs(data_dir, tmp_path_factory):
  """Two short runs, from two seeds."""
  folder = tmp_path_factory.mktemp('runs')
  for seed in range(2):
    runs_lib.train(
      prepared_sets.experiment(
        data_dir, model__name='cbr_tiny', seed=seed, train__train_steps=1
      ),
      folder / f'seed{seed}',
    )
  return [str(folder / f'seed{seed}') for seed in range(2)]


def _compare(pairs, layers=_LAYERS, **kwargs):
  return compare_runs.compare(pairs, layers, sampling=_SAMPLING, **kwargs)


def test_checkpoints_of_a_run_differ_and_equal_themselves(runs):
  run, final = runs[0], f'{runs[0]}@final'
  pairs = [(final, final), (f'{run}@init', final), (f'{run}@1', final)]
  result = _compare(pairs)
  for layer in _LAYERS:
    same, trained, by_step = (result[pair][layer].mean for pair in pairs)
    assert same == pytest.approx(1, abs=1e-5)
    assert by_step == pytest.approx(1, abs=1e-5)
    assert trained < same


def test_a_run_alone_is_the_checkpoint_that_it_was_judged_by(runs):
  for run in runs:
    step = run_folder.result(run)['judged_step']
    assert run_folder.split_checkpoint(run) == (run, '')
    assert run_folder.checkpoint_step(run) == step
    weights, judged = (
      run_lib.load_run(
        *run_folder.split_checkpoint(name), strategy='one_device'
      ).model.get_weights()
      for name in (run, f'{run}@{step}')
    )
    for one, other in zip(weights, judged, strict=True):
      np.testing.assert_array_equal(one, other)


def test_runs_that_differ_in_weights_alone_are_built_once(runs, monkeypatch):
  built, build = [], run_lib.build
  monkeypatch.setattr(
    run_lib, 'build', lambda *parts: built.append(1) or build(*parts)
  )
  _compare([(f'{run}@init', run) for run in runs], layers=['conv1'])
  assert len(built) == 1


def test_layers_default_to_the_stages_below_the_head(runs):
  pair = (runs[0], runs[1])
  stages = ['conv1', 'conv2', 'conv3', 'conv4']
  assert list(_compare([pair], layers=())[pair]) == stages


def test_stored_activations_give_the_same_figures(runs, tmp_path):
  folders = [str(tmp_path / name) for name in ('a', 'b')]
  for run, folder in zip(runs, folders, strict=False):
    manifest = compare_runs.extract(run, folder, _LAYERS)
  assert manifest.layers['conv1'].shape == (35, 16, 16, 32)
  assert len(manifest.example_ids) == 35
  stored = compare_runs.compare_folders(*folders, sampling=_SAMPLING)
  direct = _compare([tuple(runs[:2])])[tuple(runs[:2])]
  for layer in _LAYERS:
    for a, b in zip(stored[layer].repeats, direct[layer].repeats, strict=True):
      np.testing.assert_allclose(a.coefficients, b.coefficients, 0, 1e-5)


def test_figure_3(runs):
  table = compare_runs.before_and_after(
    runs, layers=_LAYERS, sampling=_SAMPLING
  )
  assert len(table) == 2 * len(_LAYERS) * _SAMPLING.repeats
  assert list(table['b'].unique()) == [f'{run}@final' for run in runs]
  assert list(table['a'].unique()) == [f'{run}@init' for run in runs]
  assert table['mean'].between(table['noise_floor'], 1).all()


def test_refuses_runs_on_different_data(runs, tmp_path_factory, tmp_path):
  data_dir = tmp_path_factory.mktemp('other')
  prepared_sets.write_spots(data_dir, test=20)
  other = str(tmp_path / 'other')
  shutil.copytree(runs[1], other)
  settings = pathlib.Path(other, run_folder.CONFIG)
  moved = config.override(
    config.load(str(settings)), {'runtime.data_dir': str(data_dir)}
  )
  config.save(moved, str(settings))
  with pytest.raises(errors.InputError, match='only on the same images'):
    _compare([(runs[0], other)])


@pytest.mark.parametrize(
  'kwargs, message',
  [
    ({'layers': ['conv1', 'conv7']}, "'conv7'; did you mean 'conv"),
    ({'layers': ['head'], 'sampling': _FEW}, 'head: 4 patches of 6 images'),
    ({'split': 'tset'}, "did you mean 'test'"),
  ],
)
def test_refuses(runs, kwargs, message):
  kwargs = {'layers': _LAYERS, 'sampling': _SAMPLING} | kwargs
  with pytest.raises(errors.InputError, match=message):
    compare_runs.compare([tuple(runs[:2])], **kwargs)


def test_binaries(runs, call, tmp_path):
  folder, output = str(tmp_path / 'acts'), tmp_path / 'svcca.json'
  found = call(
    'extract_activations.py', f'--run_dir={runs[0]}', '--checkpoint=init',
    '--layers=conv1', '--num_images=20', '--dtype=float16',
    f'--output={folder}',
  )  # fmt: skip
  assert found.returncode == 0, found.stderr
  assert 'conv1                20x16x16x32 float16' in found.stdout
  assert set(os.listdir(folder)) == {'conv1.npy', 'manifest.json'}
  sample = [
    *('--num_patches=400', '--num_channels=16', '--repeats=2'),
    f'--output={output}',
  ]
  found = call('svcca.py', f'--a={runs[0]}', f'--b={runs[1]}', *sample)
  assert found.returncode == 0, found.stderr
  record = json.loads(output.read_text())
  assert list(record['layers']) == ['conv1', 'conv2', 'conv3', 'conv4']
  assert record['sampling']['num_channels'] == 16
  assert 'conv4' in found.stdout and str(output) in found.stdout
  assert ' low ' in found.stdout and ' high ' in found.stdout
  layer = record['layers']['conv1']
  interval = layer['intervals']['mean']
  assert interval['low'] < interval['estimate'] < interval['high']
  output.unlink()
  os.truncate(f'{folder}/conv1.npy', 1_000)
  found = call('svcca.py', f'--a={folder}', f'--b={folder}', *sample)
  assert found.returncode == 2
  assert found.stderr.startswith('svcca.py: ')
  assert found.stderr.count('\n') == 1
  assert 'conv1.npy is damaged' in found.stderr


def test_a_closed_pipe_loses_no_result(runs, server, tmp_path):
  """The file is written before anything is printed."""
  output, pipe = tmp_path / 'svcca.json', tmp_path / 'pipe'
  os.mkfifo(pipe)
  reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
  flags = [
    *(f'--a={runs[0]}', f'--b={runs[1]}', '--layers=conv1'),
    *('--num_patches=400', '--num_channels=16', '--repeats=2'),
    f'--output={output}',
  ]
  process = processes.Process(
    server, paths.BIN / 'svcca.py', flags, pipe, errors=tmp_path / 'errors'
  )
  stops.wait_until_caught(process)  # It has opened the pipe by then.
  os.close(reader)
  process.wait()
  assert list(json.loads(output.read_text())['layers']) == ['conv1']


# Command -> its other flags; {output} is where it writes.
_READERS = {
  'evaluate.py': [],
  'export.py': ['--export_dir={output}'],
  'extract_activations.py': ['--layers=conv1', '--output={output}'],
}


@pytest.fixture
def read(call):
  """Calls a binary of `_READERS`."""

  def read(binary, output, *args):
    flags = [flag.format(output=output) for flag in _READERS[binary]]
    return call(binary, *flags, *args)

  return read


def test_evaluate_takes_run_at_checkpoint(runs, read, tmp_path):
  done = read('evaluate.py', tmp_path, f'--run_dir={runs[1]}@init')
  assert done.returncode == 0, done.stderr
  path = pathlib.Path(runs[1], 'scores_test_init.json')
  header = json.loads(path.read_text())
  assert (header['checkpoint'], header['step']) == ('init', 0)


def test_export_takes_run_at_checkpoint(runs, read, tmp_path):
  """Also with --checkpoint, if it names the same one."""
  output = tmp_path / 'export'
  done = read(
    'export.py', output, f'--run_dir={runs[1]}@init', '--checkpoint=init'
  )
  assert done.returncode == 0, done.stderr
  assert (
    'bin/evaluate.py --checkpoint=0' in (output / 'model_card.md').read_text()
  )


def test_extract_activations_takes_run_at_checkpoint(runs, read, tmp_path):
  """And --checkpoint has its default where --run_dir names none."""
  for name, checkpoint in ((f'{runs[1]}@1', '1'), (runs[1], 'final')):
    output = tmp_path / checkpoint
    done = read('extract_activations.py', output, f'--run_dir={name}')
    assert done.returncode == 0, done.stderr
    record = json.loads((output / 'manifest.json').read_text())
    assert record['checkpoint'] == f'{runs[1]}@{checkpoint}'


def test_two_checkpoints_are_refused(runs, read, tmp_path):
  binary, output = 'export.py', tmp_path / 'output'
  done = read(binary, output, f'--run_dir={runs[0]}@init', '--checkpoint=best')
  assert done.returncode == 2
  assert done.stderr.count('\n') == 1
  assert '--checkpoint=best' in done.stderr and '@init' in done.stderr
  assert not output.exists()

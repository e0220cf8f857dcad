"""What is shared names no folder of the machine that it was made on."""

from importlib import util
import pathlib

import prepared_sets
import pytest
import raw_sets

from data.retina import retina_dataset_builder
from transfusion_tf import export
from transfusion_tf.export import runtimes
from transfusion_tf.run import build as run_lib
from transfusion_tf.run import train_and_evaluate

# A run's own records, by which it finds its data: they have what the user gave.
_RECORDS = {'run/config.json', 'run/outputs.json', 'run/result.json'}


def _write(root):
  """Do a check, a build, a run and an export; return all that was written."""
  raw_sets.kaggle(root / 'raw', train=40, test=3)
  first = next((root / 'raw' / 'train').iterdir())
  first.write_bytes(b'no image')
  folder = root / 'written'
  builder = retina_dataset_builder.Builder.from_source(
    folder / 'data', 'kaggle', 32
  )
  builder.num_processes = 1
  report = builder.check(root / 'raw')
  report.write(folder / 'preflight')
  builder.build(report)
  experiment = prepared_sets.experiment(
    folder / 'data',
    model__name='tiny_nets:net',
    train__train_steps=4,
    train__eval_every=2,
    runtime__pictures=True,
  )
  run_dir = str(folder / 'run')
  train_and_evaluate.run(experiment, run_dir)
  run = run_lib.load_run(run_dir, 'final', strategy='one_device')
  installed = [
    name
    for name, runtime in runtimes.RUNTIMES.items()
    if all(map(util.find_spec, runtime.modules))
  ]
  export.export(run, folder / 'export', run_dir=run_dir, runtimes=installed)
  return folder


def _naming(folder, word):
  return {
    path.relative_to(folder).as_posix()
    for path in folder.rglob('*')
    if path.is_file() and word.encode() in path.read_bytes()
  }


def test_what_is_shared_names_no_folder(tmp_path):
  """The folder is given as an absolute path."""
  folder = _write(tmp_path / 'erika_mustermann')
  assert _naming(folder, 'erika_mustermann') <= _RECORDS


@pytest.mark.slow
def test_nothing_names_a_folder_that_was_not_given(tmp_path, monkeypatch):
  (tmp_path / 'erika_mustermann').mkdir()
  monkeypatch.chdir(tmp_path / 'erika_mustermann')
  folder = _write(pathlib.Path('.'))
  assert _naming(folder, 'erika_mustermann') == set()

"""Harmed files of runs, studies and data sets: a row or a line, no trace."""

import functools
import json
import random
import shutil

import fabricated_study
import harm
import prepared_sets
import pytest

from transfusion_tf import config
from transfusion_tf import datasets
from transfusion_tf import errors
from transfusion_tf import flagfile
from transfusion_tf.analysis import compare_runs
from transfusion_tf.input_pipeline import label_counts
from transfusion_tf.input_pipeline import tfds_folder
from transfusion_tf.paper import cca_pairs
from transfusion_tf.paper import claims
from transfusion_tf.paper import csv_export
from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import runs
from transfusion_tf.paper import scales
from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper import tables
from transfusion_tf.paper import write_study
from transfusion_tf.run import train_and_evaluate
from transfusion_tf.study import results

_COMMANDS = 440  # Of processes in all.
# As prepare_data.py records it.
_METADATA = {
  'splits': {'train': {'images': 96, 'patients': 48, 'labels': {'grade 0': 5}}},
  'square': {'kind': 'fundus', 'side': 32},
  'problems': {'not the published number': 1},
  'published': {'train': 35126},
  'records_sha256': 'ab',
}
_FAST = ('table1', 'figure17')


def _write(root, targets):
  """The runs and similarities of targets, made up."""
  for number, plan in enumerate(runs.plans(targets, scales.DEMO)):
    fabricated_study.write_run(
      root / plan.key, plan, fabricated_study.PAPERLIKE, number
    )
  for number, comparison in enumerate(cca_pairs.required(targets, scales.DEMO)):
    fabricated_study.write_similarity(root, comparison, number)


def _readers(targets):
  """File below the study's folder -> what reads it."""
  readers: dict[str, list] = {}
  for target in targets:
    draw = tables.TABLES.get(target)
    if draw is None:
      draw = functools.partial(write_study.draw, name=target)
    for plan in runs.plans([target], scales.DEMO):
      for name in ('result.json', 'config.json', 'metrics.jsonl'):
        readers.setdefault(f'{plan.key}/{name}', []).append(draw)
      for name in ('test_scores.csv', 'conv1.npz'):
        readers.setdefault(f'{plan.key}/{name}', []).append(draw)
    for comparison in cca_pairs.required([target], scales.DEMO):
      name = f'similarity/{comparison.key}.json'
      readers.setdefault(name, []).append(draw)
  return readers


def _check_study(root, targets, count, seed, others=()):
  rng = random.Random(seed)
  readers = _readers(targets)
  for _ in range(count):
    name = rng.choice(sorted(readers))
    draw = rng.choice([*readers[name], *others])
    with harm.harm(root / name, rng) as what:
      study = study_lib.Study(str(root), scales.DEMO)
      try:
        drawn = draw(study)
        if hasattr(drawn, 'frame'):
          drawn.frame()
        if not name.startswith('similarity'):
          found = study.run(name.rpartition('/')[0])
          if isinstance(found, results.MissingRun):
            assert found.reason and '\n' not in found.reason
      except Exception as error:
        raise AssertionError(f'{name}: {what}') from error


def _frames(targets, study):
  csv_export.frames(study, targets)


def test_a_sample_of_harmed_studies(tmp_path):
  _write(tmp_path, _FAST)
  frames = functools.partial(_frames, _FAST)
  _check_study(tmp_path, _FAST, 20, 0, [frames])


@pytest.mark.fuzz
@pytest.mark.timeout(3600)
@pytest.mark.parametrize('seed', range(4))
def test_harmed_studies(tmp_path, seed):
  targets = figure_specs.targets()
  fabricated_study.write(tmp_path)
  frames = functools.partial(_frames, targets)
  _check_study(tmp_path, targets, 300, seed, [frames, claims.judge_all])


def _check_line(read, path, rng):
  with harm.harm(path, rng) as what:
    try:
      read()
    except (errors.InputError, errors.RunError) as error:
      assert str(error) and '\n' not in str(error), what
    except Exception as error:
      raise AssertionError(f'{path}: {what}') from error


def _open(data_dir):
  """All that is read of a prepared set's descriptions."""
  prepared = tfds_folder.open_dataset(str(data_dir), 'retina')
  label_counts.notes(prepared)
  assert prepared.identity and prepared.label_names
  assert prepared.square in ('', 'fundus', 'squeezed')
  assert sum(prepared.file_lengths('test')) > 0
  len(prepared.index('test'))
  datasets.num_examples(datasets.info_files(f'{data_dir}/retina')[0])


def test_a_sample_of_harmed_data_sets(data_dir, tmp_path):
  shutil.copytree(data_dir, tmp_path / 'data')
  _check_data(tmp_path / 'data', 30, 1)


@pytest.mark.fuzz
@pytest.mark.timeout(3600)
def test_harmed_data_sets(data_dir, tmp_path):
  shutil.copytree(data_dir, tmp_path / 'data')
  _check_data(tmp_path / 'data', 400, 2)


def _check_data(data_dir, count, seed):
  rng = random.Random(seed)
  folder = data_dir / 'retina' / '1.0.0'
  (folder / 'metadata.json').write_text(json.dumps(_METADATA))
  _open(data_dir)
  for _ in range(count):
    name = rng.choice(('dataset_info.json', 'features.json', 'metadata.json'))
    _check_line(lambda: _open(data_dir), folder / name, rng)


@pytest.fixture(scope='module')
def trained(data_dir, tmp_path_factory):
  """A folder with a prepared set, a run on it and activations of that."""
  root = tmp_path_factory.mktemp('trained')
  shutil.copytree(data_dir, root / 'data')
  experiment = prepared_sets.experiment(root / 'data', train__train_steps=3)
  train_and_evaluate.run(experiment, str(root / 'run'))
  compare_runs.extract(
    f'{root}/run@final', str(root / 'activations'), ['conv1'], 'test', 8
  )
  return root


# What is harmed -> commands that read it.
_RUN = (
  'evaluate.py --run_dir={}/run',
  'evaluate.py --run_dir={}/run@0 --checkpoint=0 --split=validation',
  'export.py --run_dir={}/run --export_dir={}/exported --overwrite',
  'extract_activations.py --run_dir={}/run --output={}/new --num_images=4',
  'svcca.py --a={}/run@init --b={}/run --output={}/out.json --num_patches=99 '
  '--num_channels=4 --repeats=1 --layers=conv1',
  'train.py --flagfile={}/run.flags',
)
_READERS = {
  'run/config.json': _RUN,
  'run/outputs.json': _RUN,
  'run/network.json': _RUN,
  'run/result.json': _RUN,
  'run/metrics.jsonl': _RUN,
  'run/test_scores.csv': _RUN[:3],
  'run/validation_scores.csv': _RUN[:1],
  'data/retina/1.0.0/dataset_info.json': (
    *_RUN,
    'reproduce.py --list --target=table1 --output_dir={}/study '
    '--data_dir={}/data',
  ),
  'data/retina/1.0.0/features.json': _RUN,
  'activations/manifest.json': (
    'svcca.py --a={}/activations --b={}/activations --output={}/out.json '
    '--num_patches=99 --num_channels=4 --repeats=1',
    'extract_activations.py --run_dir={}/run --output={}/activations '
    '--num_images=8 --layers=conv1',
  ),
  'study/study.json': (
    'reproduce.py --list --target=table1 --output_dir={}/study '
    '--data_dir={}/data',
    'reproduce.py --draw_only --target=table1 --output_dir={}/study',
  ),
}


@pytest.mark.fuzz
@pytest.mark.timeout(7200)
@pytest.mark.parametrize('name', list(_READERS))
def test_harmed_files_of_commands(trained, call, name):
  """In processes of their own, as users start them."""
  rng = random.Random(name)
  experiment = config.load(trained / 'run' / 'config.json')
  lines = flagfile.lines(experiment, 'demo_retina', str(trained / 'run'))
  (trained / 'run.flags').write_text(lines)
  (trained / 'study').mkdir(exist_ok=True)
  (trained / 'study/study.json').write_text('{"scale": "demo"}')
  for _ in range(_COMMANDS // len(_READERS)):
    line = rng.choice(_READERS[name]).replace('{}', str(trained))
    kept = trained / 'kept'
    shutil.copytree(trained / 'run', kept)
    with harm.harm(trained / name, rng) as what:
      done = call(*line.split())
    shutil.rmtree(trained / 'new', ignore_errors=True)
    shutil.rmtree(trained / 'run')
    kept.rename(trained / 'run')
    _check_end(done, f'{line}: {what}')


def _check_end(done, what):
  assert done.returncode in (0, 1, 2), (what, done)
  assert 'Traceback' not in done.stderr, (what, done.stderr)
  if done.returncode:
    assert done.stderr.count('\n') == 1, (what, done.stderr)
  else:
    assert not done.stderr, (what, done.stderr)

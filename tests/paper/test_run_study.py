"""A small study carried out for real: trained, compared, pruned, drawn."""

import dataclasses
import json
import shutil
import subprocess
import sys

import paths
import pytest

from transfusion_tf import metrics
from transfusion_tf.paper import cca_pairs
from transfusion_tf.paper import claims
from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import initializations
from transfusion_tf.paper import run_study
from transfusion_tf.paper import runs
from transfusion_tf.paper import sample_images
from transfusion_tf.paper import scales
from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper import tables
from transfusion_tf.paper import write_study
from transfusion_tf.paper.claims import verdicts
from transfusion_tf.study import executors
from transfusion_tf.study import results
from transfusion_tf.study import runner

SCALE = dataclasses.replace(
  scales.DEMO,
  name='test',
  changes={
    'data.image_size': 32,
    'train.train_steps': 4,
    'train.eval_every': 2,
    'train.batch_size': 8,
    'runtime.eval_batch_size': 16,
  },
  model_changes={},
)
GROUP = figure_specs.Group('retina', 'cbr_small', initializations.RANDOM)
PAIR = cca_pairs.same(SCALE, 'cbr_small', initializations.RANDOM)[:1]


@pytest.fixture(scope='module')
def carried_out(data_dir, tmp_path_factory):
  """Two seeds, compared; the folder and what could not be made."""
  root = str(tmp_path_factory.mktemp('study'))
  plans = [runs.plan(SCALE, GROUP, seed) for seed in range(2)]
  broken = runs.plan(
    SCALE, dataclasses.replace(GROUP, initialization=initializations.TRANSFER)
  )  # Its pretraining is not there.
  planned = {p.key: p.at(root, str(data_dir)) for p in (*plans, broken)}
  study = run_study.Runner(SCALE, root, str(data_dir), prune=True)
  failures = runner.train(planned, root, executors.Local(2), study.keep)
  dataclasses.replace(study, prune=False).compare(PAIR)
  return root, plans, failures


def test_one_failure_leaves_the_rest(carried_out):
  root, plans, failures = carried_out
  assert list(failures) == ['retina/cbr_small/transfer/seed0']
  study = study_lib.Study(root, SCALE)
  assert [run.key for run in study.seeds(GROUP)] == [p.key for p in plans]


def test_scores_give_the_result_again(carried_out):
  root, plans, _ = carried_out
  run = results.read(root, plans[0].key)
  auc = run.test_metric()
  assert isinstance(auc, metrics.Auc)
  assert auc.value() == pytest.approx(run.test()['value'])


def test_similarity_reaches_the_table(carried_out):
  root, _, _ = carried_out
  path = results.similarity_path(root, PAIR[0].key)
  with open(path, encoding='utf-8') as file:
    found = json.load(file)['layers']
  table = tables.table5(study_lib.Study(root, SCALE)).numbers()
  table = table[table['column'] == 'Random, two seeds']
  cells = table[table['Model'] == 'CBR-Small'].set_index('Stage')['mean']
  assert cells.to_dict() == {k: v['mean'] for k, v in found.items()}
  assert all(0 < value <= 1 for value in cells)


def test_a_damaged_checkpoint_leaves_the_other_pairs(
  carried_out, data_dir, tmp_path
):
  root, plans, _ = carried_out
  shutil.copytree(root, tmp_path / 'study')
  root = tmp_path / 'study'
  for path in (root / plans[1].key).glob('checkpoints/*/checkpoint.data*'):
    path.write_bytes(path.read_bytes()[:100])
  shutil.rmtree(root / 'similarity')
  study = run_study.Runner(SCALE, str(root), str(data_dir), prune=False)
  random = initializations.RANDOM
  movement = cca_pairs.movement(SCALE, 'cbr_small', random)[:1]
  assert study.compare([*PAIR, *movement]) == {}
  refused, made = (
    results.read_similarity(str(root), pair.key) for pair in (*PAIR, *movement)
  )
  assert 'unreadable checkpoint' in refused.reason
  assert set(made) >= {'conv1', 'conv2'}


def test_a_pilot_keeps_what_its_study_will_compare(carried_out, tmp_path):
  root, plans, _ = carried_out
  shutil.copytree(root, tmp_path / 'study')
  pilot = run_study.Runner(
    scales.with_seeds(SCALE, 1),
    str(tmp_path / 'study'),
    '',
    prune=True,
    pilot_of=SCALE,
  )
  for comparison in cca_pairs.required(figure_specs.targets(), pilot.scale):
    run_study.write_similarity(pilot.root, comparison, {'refused': 'made'})
  pilot.keep(plans[0].key)
  assert pilot.has_weights(plans[0].key)
  dataclasses.replace(pilot, pilot_of=None).keep(plans[0].key)
  assert not pilot.has_weights(plans[0].key)


def test_first_layer_outlives_its_checkpoints(carried_out, data_dir):
  root, plans, _ = carried_out
  before = results.read(root, plans[0].key).conv1
  for comparison in cca_pairs.required(figure_specs.targets(), SCALE):
    path = results.similarity_path(root, comparison.key)
    if not results.os.path.exists(path):
      run_study.write_similarity(
        root, comparison, {'refused': 'not wanted here'}
      )
  planned = {plan.key: plan.at(root, str(data_dir)) for plan in plans}
  study = run_study.Runner(SCALE, root, str(data_dir), prune=True)
  assert runner.train(planned, root, keep=study.keep) == {}
  assert not study.has_weights(plans[0].key)
  after = results.read(root, plans[0].key).conv1
  assert before.keys() == after.keys() == {'before', 'after'}
  assert all((before[k] == after[k]).all() for k in before)
  assert (after['before'] != after['after']).any()


# Those of CBR-Small and CBR-Tiny on RETINA, whose claims are 10, 15 and 16.
SMALL_TARGETS = ('figure5', 'figure17', 'figure18')


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_shuffled_labels_support_no_claim(tmp_path):
  """The demo's own data and steps: what is claimed must not come out."""
  raw, data = tmp_path / 'raw', tmp_path / 'data'
  sets = ('set=retina', 'set=natural')
  size = ('num_patients=300', 'lesion_size=3')
  _call('make_demo_data', f'raw_dir={raw}', *size, *sets)
  _prepare('retina', raw / 'retina', data, 'image_size=40')
  _prepare('image_table', raw / 'natural', data, 'name=natural')
  control, root = scales.control(scales.DEMO), str(tmp_path / 'study')
  study = run_study.Runner(control, root, str(data), True, executors.Local(2))
  assert not study.run(SMALL_TARGETS)
  judged = claims.judge_all(study_lib.Study(root, control))
  made = [j.claim.number for j in judged if j.tests]
  assert made == [10, 15, 16]
  for judgement in judged:
    assert judgement.verdict != verdicts.HOLDS, judgement.finding


def _prepare(dataset, raw, data, flag):
  _call(
    'prepare_data',
    f'dataset={dataset}',
    f'manual_dir={raw}',
    f'data_dir={data}',
    flag,
  )


def _call(binary, *values):
  command = [
    sys.executable,
    paths.BIN / f'{binary}.py',
    *(f'--{v}' for v in values),
  ]
  subprocess.run(command, check=True, capture_output=True)


def test_samples_are_of_all_grades(data_dir, tmp_path):
  sample_images.take(SCALE, str(tmp_path), str(data_dir))
  labels, images = zip(
    *sample_images.read([str(tmp_path)], 'retina'), strict=True
  )
  assert labels == tuple(f'grade {n}' for n in range(5))
  assert all(image.shape == (128, 128, 3) for image in images)
  assert sample_images.read([str(tmp_path)], 'chexpert') == []
  drawn = write_study.draw(study_lib.Study(str(tmp_path), SCALE), 'figure1')
  shown = [a.get_title() for a in drawn.axes if a.images]
  assert shown == list(labels)

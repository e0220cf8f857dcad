"""Which runs a study has, with which settings; and train.py's flags of them.

The figures of the paper are written out here a second time, on purpose.
"""

import collections
import dataclasses
import json
import subprocess
import sys

import keras
import numpy as np
import paths
import pytest

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import flagfile
from transfusion_tf import models
from transfusion_tf.models import registry
from transfusion_tf.paper import cca_pairs
from transfusion_tf.paper import costs
from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import runs
from transfusion_tf.paper import scales
from transfusion_tf.study import device_costs
from transfusion_tf.study import files

ALL_SCALES = (scales.PAPER, scales.DEMO, scales.QUICK, scales.REAL)
MEDICAL = ('retina', 'chexpert', 'pneumoniamnist', 'nih_pneumonia')


@pytest.fixture(scope='module')
def paper():
  return {p.key: p for p in runs.plans(['all'], scales.PAPER)}


def test_paper_settings_of_retina(paper):
  for key, plan in paper.items():
    if key.startswith('retina'):
      e = plan.experiment
      assert (e.data.image_size, e.train.batch_size) == (587, 8)
      assert (e.optimizer.name, e.optimizer.learning_rate) == ('adam', 0.001)
      assert e.data.augment.flip_left_right and e.data.augment.flip_up_down
      assert e.data.normalization == 'imagenet'
      assert e.optimizer.weight_decay == 0


def test_paper_settings_of_chexpert(paper):
  for key, plan in paper.items():
    if key.startswith('chexpert'):
      e, o = plan.experiment, plan.experiment.optimizer
      assert (e.data.image_size, e.train.batch_size) == (224, 32)
      assert (o.name, o.momentum, o.nesterov) == ('sgd', 0.9, False)
      assert o.learning_rate == pytest.approx(0.0125)
      assert (o.warmup_epochs, o.decay_epochs) == (5, (30, 60, 90))
      assert o.decay_factor == pytest.approx(0.1)
      assert not e.data.augment.flip_left_right
      assert not e.data.augment.flip_up_down
      assert e.data.findings == (
        'Atelectasis',
        'Cardiomegaly',
        'Consolidation',
        'Edema',
        'Pleural Effusion',
      )


def test_paper_runs_of_tables(paper):
  """Six, five and three networks, two starts, three repeats."""

  def of(target):
    return {
      plan.key
      for plan in runs.plans([target], scales.PAPER)
      if not plan.key.startswith('imagenet2012')
    }

  six = {
    'resnet50',
    'inception_v3',
    'cbr_large_t',
    'cbr_large_w',
    'cbr_small',
    'cbr_tiny',
  }
  assert of('table1') == {
    f'retina/{m}/{s}/seed{n}'
    for m in six
    for s in ('random', 'transfer')
    for n in range(3)
  }
  assert of('table2') == {
    f'chexpert/{m}/{s}/seed{n}'
    for m in six - {'inception_v3'}
    for s in ('random', 'transfer')
    for n in range(3)
  }
  assert of('table3') == {
    f'retina_5000/{m}/{s}/seed{n}'
    for m in ('resnet50', 'cbr_large_t', 'cbr_large_w')
    for s in ('random', 'transfer')
    for n in range(3)
  }
  cells = collections.Counter(k.rsplit('/', 1)[0] for k in of('table4'))
  assert len(cells) == 16 and set(cells.values()) == {3}
  assert 'retina_5000/resnet50/mean_var' not in cells  # The paper's gap.
  assert {paper[k].experiment.data.subset for k in of('table4')} == {
    5_000,
    10_000,
    50_000,
    100_000,
  }


@pytest.mark.parametrize(
  ('target', 'start', 'changes'),
  [
    ('figure17', 'mean_var_bn_transfer', {'bn_init': 'transfer'}),
    ('figure17', 'mean_var_bn_mean_var', {'bn_init': 'mean_var'}),
    ('figure17', 'mean_var', {'bn_init': 'identity', 'scheme': 'mean_var'}),
    ('figure18', 'sampling', {'scheme': 'sampling'}),
    ('figure18', 'shuffled', {'scheme': 'shuffled'}),
    ('figure7', 'transfer_upto_conv1', {'scheme': 'transfer', 'upto': 'conv1'}),
    ('figure7', 'transfer', {'scheme': 'transfer', 'upto': ''}),
    ('figure8', 'gabor', {'scheme': 'random', 'conv1': 'gabor'}),
    ('figure8', 'slim_transfer', {'scheme': 'transfer', 'upto': ''}),
    ('figure20', 'slim_random', {'scheme': 'random', 'pretrained': ''}),
    (
      'figure12',
      'fixed_imagenet_block1',
      {'scheme': 'transfer', 'upto': '', 'freeze_upto': 'block1'},
    ),
    (
      'figure12',
      'fixed_transfused_block1',
      {'scheme': 'transfer', 'upto': 'block1', 'freeze_upto': 'block1'},
    ),
    (
      'figure12',
      'fixed_random_block1',
      {'scheme': 'random', 'upto': '', 'freeze_upto': 'block1'},
    ),
  ],
)
def test_paper_starts(target, start, changes):
  of = {p.key: p.experiment for p in runs.plans([target], scales.PAPER)}
  found = of[f'retina/resnet50/{start}/seed0']
  for name, value in changes.items():
    assert getattr(found.init, name) == value
  assert found.model.slim_from == ('block3' if 'slim' in start else '')


def test_paper_repeats(paper):
  """Five in Figure 17, three in Figure 18 and Tables 1 and 2."""
  seeds = collections.Counter(key.rsplit('/', 1)[0] for key in paper)
  assert seeds['retina/resnet50/mean_var_bn_transfer'] == 5
  assert seeds['retina/resnet50/mean_var'] == 5
  assert seeds['retina/resnet50/sampling'] == 3
  assert seeds['imagenet2012/cbr_small/random'] == 3
  assert min(n for key, n in seeds.items() if 'imagenet' not in key) == 3


def test_inception_takes_the_published_weights(paper):
  plan = paper['retina/inception_v3/transfer/seed0']
  assert runs.weights_files(list(paper.values())) == [plan.source]
  (scored,) = (key for key in paper if key.startswith('imagenet2012/inception'))
  assert scored == 'imagenet2012/inception_v3/published/seed0'


def test_published_weights_are_scored_with_their_head(paper):
  scored = paper['imagenet2012/inception_v3/published/seed0']
  assert costs.num_steps(scored.experiment) == 0
  assert scored.source == 'weights/inception_v3.npz'
  assert flagfile.lines(scored.experiment, scored.recipe, 'RUN').split() == [
    '--recipe=imagenet2012_published',
    '--run_dir=RUN',
    '--dataset=imagenet2012',
    '--pretrained=weights/inception_v3.npz',
  ]
  init, data = scored.experiment.init, scored.experiment.data
  assert (init.scheme, init.upto) == ('transfer', 'head')
  assert (data.image_size, data.normalization) == (299, 'imagenet')
  keys = [plan.key for plan in runs.plans(['table1'], scales.PAPER)]
  assert scored.key in keys
  assert scored.key not in {p.key for p in runs.plans(['table2'], scales.PAPER)}
  for scale in (scales.DEMO, scales.QUICK):
    assert not [p for p in runs.plans(['all'], scale) if 'published' in p.key]


@pytest.mark.parametrize('scale', ALL_SCALES, ids=lambda s: s.name)
def test_plans_are_sound(scale):
  plans = runs.plans(['all'], scale)
  keys = [plan.key for plan in plans]
  assert len(set(keys)) == len(keys)
  files = runs.weights_files(plans)
  for number, plan in enumerate(plans):
    assert plan.source in ('', *keys[:number], *files), plan.key
    needs = plan.experiment.init.scheme != 'random'
    needs |= plan.experiment.init.conv1 == 'gabor'
    assert bool(plan.source) == needs, plan.key
    if not plan.key.startswith(MEDICAL):
      pretraining = scale.datasets[scale.pretraining]
      assert plan.experiment.data.dataset == pretraining.name
  # Two runs with the same settings would be one run under two names.
  settings = [json.dumps(dataclasses.asdict(p.experiment)) for p in plans]
  assert len(set(settings)) == len(settings)


@pytest.mark.parametrize('target', figure_specs.targets())
def test_targets_share_runs(target):
  everything = set(runs.plans(['all'], scales.DEMO))
  assert set(runs.plans([target], scales.DEMO)) <= everything
  for comparison in cca_pairs.required([target], scales.DEMO):
    keys = {p.key for p in runs.plans([target], scales.DEMO)}
    for network in (comparison.a, comparison.b):
      group = comparison.group(network)
      assert runs.key(scales.DEMO, group, network.seed) in keys


def test_demo_has_three_seeds_where_it_counts():
  wanted = ('table1', 'table3', 'table5')
  wanted += tuple(f'figure{n}' for n in (2, 3, 4, 5, 6, 7, 8, 12, 15, 17, 18))
  repeats = figure_specs.repeats(scales.DEMO, wanted)
  assert set(repeats.values()) == {3}


@pytest.mark.parametrize(
  ('scale', 'minutes'), [(scales.DEMO, 75), (scales.QUICK, 15)]
)
def test_demo_fits_its_time(scale, minutes):
  plans = runs.plans(['all'], scale)
  total = sum(
    costs.seconds(p.experiment, device_costs.TWO_CORES) for p in plans
  )
  assert total < 0.9 * 60 * minutes


@pytest.mark.parametrize('name', models.NAMES)
def test_work_is_that_of_the_network(name):
  size = 320
  model = models.build(name, 5, (size, size, 3))
  convolutions = [x for x in model.layers if isinstance(x, keras.layers.Conv2D)]
  work = sum(
    int(np.prod(x.kernel.shape)) * int(np.prod(x.output.shape[1:3]))
    for x in convolutions
  )
  network = registry.NETWORKS[name]
  assert len(convolutions) == network.convolutions
  assert work / size**2 == pytest.approx(network.multiply_adds, rel=0.1)


@pytest.mark.parametrize('name', models.NAMES)
def test_stages_are_those_of_the_network(name):
  model = models.build(name, 5, (75, 75, 3))
  expected = (*registry.stages(name), 'head')
  assert models.stages_of(model).names == expected


@pytest.mark.parametrize(
  ('call', 'hint'),
  [
    (lambda: runs.plans(['figur7'], scales.DEMO), 'figure7'),
    (lambda: scales.named('papier'), 'paper'),
    (lambda: scales.named('paper', quick=True), 'demo'),
  ],
)
def test_refuses(call, hint):
  with pytest.raises(errors.InputError, match=hint):
    call()


_PARSE = """
import dataclasses, json, sys
from absl import flags
from transfusion_tf.cli import train
for path in sys.argv[1:]:
  for name in flags.FLAGS:
    flags.FLAGS[name].unparse()
  flags.FLAGS(['train.py', f'--flagfile={path}'])
  found = dataclasses.asdict(train._experiment())
  print(json.dumps([flags.FLAGS.run_dir, found]))
"""


def _listing(output_dir):
  """The command that lists the runs of the paper."""
  return [
    sys.executable,
    paths.BIN / 'reproduce.py',
    '--target=all',
    '--scale=paper',
    '--list',
    f'--output_dir={output_dir}',
    '--data_dir=DATA',
  ]


def test_listed_flags_make_the_planned_experiments(tmp_path):
  listed = subprocess.run(
    _listing(tmp_path),
    check=True,
    capture_output=True,
    text=True,
  ).stdout.splitlines()
  lines = [line for line in listed if not line.startswith('#')]
  flagfiles = [line.split('--flagfile=')[1].split()[0] for line in lines]
  parsed = subprocess.run(
    [sys.executable, '-c', _PARSE, *flagfiles],
    check=True,
    capture_output=True,
    text=True,
    cwd=paths.BIN,
  ).stdout.splitlines()
  plans = runs.plans(['all'], scales.PAPER)
  assert len(parsed) == len(plans) == len(lines)
  found = dict(json.loads(line) for line in parsed)
  for plan in plans:
    experiment = plan.at(str(tmp_path), 'DATA')
    assert found[str(tmp_path / plan.key)] == json.loads(
      json.dumps(dataclasses.asdict(experiment))
    )


def test_list_leaves_out_what_is_finished(tmp_path):
  run_dir = tmp_path / 'retina/cbr_tiny/random/seed0'
  run_dir.mkdir(parents=True)
  (run_dir / 'result.json').write_text('{}')
  assert files.is_finished(str(tmp_path), 'retina/cbr_tiny/random/seed0')
  assert not files.is_finished(str(tmp_path), 'retina/cbr_tiny/random/seed1')


def test_every_recipe_of_a_scale_exists():
  for scale in ALL_SCALES:
    recipes = {data.recipe for data in scale.datasets.values()}
    assert recipes <= set(config.RECIPES)


def test_a_folder_holds_one_study(tmp_path):
  root = str(tmp_path / 'new' / 'study')
  runs.claim(root, 'demo')
  runs.claim(root, 'demo')
  with pytest.raises(errors.InputError, match='scale demo, not demo --quick'):
    runs.claim(root, 'demo --quick')


def test_a_list_may_be_cut_short(tmp_path):
  """As `reproduce.py --list | head -1` does."""
  listing = subprocess.Popen(
    _listing(tmp_path),
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )
  listing.stdout.readline()
  listing.stdout.close()
  assert not listing.stderr.read()  # No CUDA either: it imports no TensorFlow.
  assert listing.wait() == 141


@pytest.mark.parametrize('text', ['', '{"scale": ', '[]', '{}'])
def test_a_folder_that_cannot_tell_its_scale_is_refused(tmp_path, text):
  (tmp_path / 'study.json').write_text(text)
  with pytest.raises(errors.InputError, match=r'study\.json: damaged: '):
    runs.claim(str(tmp_path), 'demo')


def _list_with(tmp_path, *configs):
  """List the paper's runs where `retina` has these (config, image counts)."""
  for config_name, *lengths in configs:
    folder = tmp_path / 'data/retina' / config_name / '1.0.0'
    folder.mkdir(parents=True)
    splits = [{'name': 'train', 'shardLengths': [*map(str, lengths)]}]
    (folder / 'dataset_info.json').write_text(json.dumps({'splits': splits}))
  command = _listing(tmp_path / 'study')
  command[-1] = f'--data_dir={tmp_path / "data"}'
  return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize(
  ('config_name', 'lengths', 'missing'),
  [
    ('kaggle_587', (30_000, 1_611), {50_000: 9, 100_000: 9}),
    ('kaggle_pooled_587', (60_000, 3_865), {100_000: 9}),
  ],
)
def test_list_names_the_runs_that_have_too_few_images(
  tmp_path, config_name, lengths, missing
):
  """Kaggle's training folder does not hold 50k, its pool does not 100k."""
  listed = _list_with(tmp_path, (config_name, *lengths))
  assert not listed.returncode, listed.stderr
  lines = listed.stdout.splitlines()
  asked = [
    plan
    for plan in runs.plans(['all'], scales.PAPER)
    if plan.experiment.data.subset > sum(lengths)
  ]
  amounts = collections.Counter(plan.experiment.data.subset for plan in asked)
  assert amounts == missing
  assert f'# {len(asked)} runs cannot be made' in lines
  for plan in asked:
    assert (
      f'# {plan.key}: {plan.experiment.data.subset} images of the '
      f'{sum(lengths)} that retina has to train on'
    ) in lines
    assert not any(f'{plan.key}.flags' in line for line in lines)


def test_list_refuses_a_folder_with_two_configs_of_a_set(tmp_path):
  """Which one a run would read is not said: every run would refuse it."""
  listed = _list_with(tmp_path, ('kaggle_587', 9), ('kaggle_pooled_587', 9))
  assert listed.returncode == 2
  assert 'several configs' in listed.stderr
  assert 'kaggle_pooled_587' in listed.stderr


def test_a_deterministic_study_has_the_same_runs():
  names = runs.expand(['all'])
  plain, fixed = (
    {plan.key: plan.experiment for plan in runs.plans(names, scale)}
    for scale in (scales.REAL, scales.deterministic(scales.REAL))
  )
  assert list(plain) == list(fixed)
  assert all(run.train.deterministic for run in fixed.values())
  assert not any(run.train.deterministic for run in plain.values())

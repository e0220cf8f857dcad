"""Networks, schemes, data sets, figures and metrics join in few places."""

import functools
import subprocess
import sys

import fabricated_study
import keras
import numpy as np
from PIL import Image
import prepared_sets
import pytest
import runs as runs_lib
import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import datasets
from transfusion_tf import errors
from transfusion_tf import export
from transfusion_tf import init
from transfusion_tf import metrics
from transfusion_tf import models
from transfusion_tf import tasks
from transfusion_tf.export import preparation
from transfusion_tf.input_pipeline import tfds_folder
from transfusion_tf.models import registry
from transfusion_tf.paper import costs
from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import figures
from transfusion_tf.paper import initializations
from transfusion_tf.paper import runs
from transfusion_tf.paper import scales
from transfusion_tf.paper import study as study_lib
from transfusion_tf.run import build as run_lib
from transfusion_tf.run import train_and_evaluate
from transfusion_tf.study import device_costs
from transfusion_tf.study import display
from transfusion_tf.study import plan as plan_lib
from transfusion_tf.study import results

_WIDTH = 8


@pytest.fixture
def toy():
  """The name of a registered network, which is forgotten afterwards."""

  @registry.register(
    'toy',
    label='Toy-1',
    stages=('conv1', 'conv2'),
    multiply_adds=9 * 3 * _WIDTH + 9 * _WIDTH**2 // 4,
    convolutions=2,
  )
  def build(num_classes, input_shape, bn_momentum=0.0, slim_from=''):
    widths = models.stages.halve_widths(
      ('conv1', 'conv2'), 2 * (_WIDTH,), slim_from
    )
    x = inputs = keras.Input(input_shape, name='image')
    for i, width in enumerate(widths, start=1):
      x = keras.layers.Conv2D(
        width, 3, i, 'same', activation='relu', name=f'conv{i}'
      )(x)
    x = keras.layers.BatchNormalization(
      momentum=bn_momentum or 0.9, name='conv2.bn'
    )(x)
    x = keras.layers.GlobalAveragePooling2D(name='pool')(x)
    x = keras.layers.Dense(num_classes, dtype='float32', name='head')(x)
    return keras.Model(inputs, x, name='toy')

  yield 'toy'
  del registry.NETWORKS['toy']


def test_it_is_built_with_its_options(toy):
  model = models.build(toy, 5, (32, 32, 3), bn_momentum=0.5)
  assert model.output_shape == (None, 5)
  assert model.get_layer('conv2.bn').momentum == 0.5
  assert models.stages_of(model).names == ('conv1', 'conv2', 'head')
  slim = models.build(toy, 5, (32, 32, 3), slim_from='conv2')
  assert slim.get_layer('conv2').filters == _WIDTH // 2


def test_it_is_listed_and_has_a_label(toy):
  assert toy in models.NAMES
  with pytest.raises(errors.InputError, match=r'toy, package\.module:function'):
    models.build('no_such_net', 5, (32, 32, 3))
  assert registry.label(toy) == 'Toy-1'
  assert registry.label(toy) == 'Toy-1'


def test_its_work_is_estimated(toy, tmp_path):
  size = 64
  model = models.build(toy, 5, (size, size, 3))
  work = sum(
    int(np.prod(x.kernel.shape)) * int(np.prod(x.output.shape[1:3]))
    for x in model.layers
    if isinstance(x, keras.layers.Conv2D)
  )
  assert work == registry.NETWORKS[toy].multiply_adds * size**2
  one, large = (
    costs.seconds(
      prepared_sets.experiment(tmp_path, model__name=name),
      device_costs.TWO_CORES,
    )
    for name in (toy, 'cbr_large_w')
  )
  assert 0 < one < large


def test_it_joins_studies(toy, tmp_path):
  plan = plan_lib.Plan(
    base=prepared_sets.experiment(tmp_path),
    models=(toy,),
    starts=('random', 'transfer'),
    num_seeds=1,
    sources={},
    pretraining=prepared_sets.experiment(tmp_path),
  )
  assert [run.key for run in plan.runs(str(tmp_path))] == [
    'toy/pretrained',
    'toy/random/seed0',
    'toy/transfer/seed0',
  ]


def test_its_stages_are_transfused(toy):
  names = [start.name for start in initializations.transfusions(toy)]
  assert names == ['random', 'transfer_upto_conv1', 'transfer']


def test_it_is_trained_evaluated_and_exported(toy, data_dir, tmp_path):
  first, second = str(tmp_path / 'first'), str(tmp_path / 'second')
  experiment = prepared_sets.experiment(data_dir, model__name=toy)
  train_and_evaluate.run(experiment, first)
  result = train_and_evaluate.run(
    prepared_sets.experiment(
      data_dir,
      model__name=toy,
      init__scheme='transfer',
      init__pretrained=first,
      init__upto='conv1',
      init__freeze_upto='conv1',
    ),
    second,
  )
  one, two = (run_lib.load_run(run_dir, 'best') for run_dir in (first, second))
  kernels = [run.model.get_layer('conv1').kernel.numpy() for run in (one, two)]
  np.testing.assert_array_equal(*kernels)
  scores, values = run_lib.evaluate(two, 'test')
  assert len(scores) == 35
  assert set(values) == set(result['test'])
  exported = export.export(two, tmp_path / 'export', run_dir=second)
  assert exported.num_checked
  assert tf.saved_model.contains_saved_model(exported.directory)


def test_options_it_does_not_take_are_refused(toy):
  with pytest.raises(errors.InputError, match='not for toy'):
    models.build(toy, 5, (32, 32, 3), stride_in='first')


def test_a_name_is_given_once(toy):
  with pytest.raises(ValueError, match="network 'toy' already"):
    registry.register(
      toy, label='', stages=('a',), multiply_adds=1, convolutions=1
    )
  assert registry.label(toy) == 'Toy-1'


def test_networks_of_the_paper_come_first():
  assert list(models.NAMES)[:2] == ['resnet50', 'inception_v3']
  assert [registry.label(name) for name in models.NAMES] == [
    'ResNet-50',
    'Inception-v3',
    'CBR-LargeT',
    'CBR-LargeW',
    'CBR-Small',
    'CBR-Tiny',
    'CBR-Tiny (wide)',
  ]


@pytest.fixture
def halved():
  """The name of a registered scheme, which is forgotten afterwards."""

  @init.schemes.register('halved')
  def halved(source):
    return lambda weight: init.types.InitialValue(
      source[weight.path] / 2, 'halved', source
    )

  yield 'halved'
  del init.schemes.FROM_SOURCE['halved']


def test_a_scheme_starts_a_run(halved, data_dir, tmp_path):
  first, second = str(tmp_path / 'first'), str(tmp_path / 'second')
  runs_lib.train(prepared_sets.experiment(data_dir), first)
  runs_lib.train(
    prepared_sets.experiment(
      data_dir, init__scheme=halved, init__pretrained=f'{first}@final'
    ),
    second,
  )
  before, after = (
    run_lib.load_run(run_dir, which).model.get_layer('conv1').kernel.numpy()
    for run_dir, which in ((first, 'final'), (second, 'init'))
  )
  np.testing.assert_array_equal(after, before / 2)


def test_a_scheme_needs_weights_and_is_listed(halved, tmp_path):
  stages = models.stages_of(models.build('cbr_tiny', 5, (32, 32, 3)))
  experiment = prepared_sets.experiment(tmp_path, init__scheme=halved)
  with pytest.raises(errors.InputError, match='init=halved needs weights'):
    init.from_config(experiment.init, None, stages)
  with pytest.raises(errors.InputError, match="did you mean 'halved'"):
    init.from_config(
      config.override(experiment, {'init.scheme': 'halve'}).init, None, stages
    )
  with pytest.raises(ValueError, match="scheme 'halved' already"):
    init.schemes.register(halved)


def test_a_scheme_joins_studies(halved, tmp_path):
  plan = plan_lib.Plan(
    base=prepared_sets.experiment(tmp_path),
    models=('cbr_tiny',),
    starts=('random', halved),
    num_seeds=1,
    sources={'cbr_tiny': {'': 'RUN'}},
  )
  keys = [run.key for run in plan.runs(str(tmp_path))]
  assert keys == ['cbr_tiny/random/seed0', 'cbr_tiny/halved/seed0']
  style = display.scheme(halved)
  assert style.label == halved
  looks = [(s.color, s.line) for s in display.SCHEMES.values()]
  assert (style.color, style.line) not in looks


@pytest.fixture
def distance_metric():
  """The name of a registered metric, which is forgotten afterwards."""

  @tasks.register_metric('distance', kind='grade', label='distance of grades')
  def distance(task, probabilities, labels):
    assert len(task.names) == probabilities.shape[1]
    return metrics.Mean(abs(probabilities.argmax(axis=1) - labels['grade']))

  yield 'distance'
  del tasks.METRICS['distance']


def test_a_metric_is_in_all_results(distance_metric, data_dir, tmp_path):
  experiment = prepared_sets.experiment(data_dir, model__name='tiny_nets:net')
  result = train_and_evaluate.run(experiment, str(tmp_path / 'run'))
  assert {'referable', 'brier', distance_metric} <= set(result['test'])
  found = result['test'][distance_metric]
  assert 0 <= found['low'] <= found['value'] <= found['high'] <= 4
  run = results.read(str(tmp_path), 'run')
  # The curve has what is followed, and no more.
  followed = ['step', 'loss', 'referable', distance_metric]
  assert list(run.curve) == followed
  assert run.curve[distance_metric].between(0, 4).all()
  assert run.test_metric(distance_metric).value() == pytest.approx(
    found['value']
  )
  assert run.test(distance_metric) == found
  loaded = run_lib.load_run(str(tmp_path / 'run'), 'best')
  _, again = run_lib.evaluate(loaded, 'test')
  assert again[distance_metric] == found
  exported = export.export(
    loaded,
    tmp_path / 'export',
    run_dir=run.run_dir,
    step=result['judged_step'],
  )
  card = (tmp_path / 'export' / 'model_card.md').read_text()
  assert exported.num_checked
  assert distance_metric in card


def test_a_metric_is_of_its_kind_and_has_a_label(distance_metric):
  assert display.metric(distance_metric) == 'distance of grades'
  assert display.metric('Edema') == 'AUC, Edema'
  classes = tasks.Classes(('a', 'b'))
  scored = classes.metrics(np.eye(2)[[0, 1, 1]], {'label': [0, 1, 0]})
  assert {'top1', 'auc'} <= set(scored) and distance_metric not in scored
  findings = tasks.Findings(('a', 'b'))
  states = {name: tf.constant([0, 1]) for name in findings.names}
  scored = findings.metrics(np.eye(2), {'findings': states})
  assert next(iter(scored)) == 'mean' and list(scored)[-2:] == ['a', 'b']
  assert distance_metric not in scored
  # The same objects: each AUC sorts its scores once.
  assert scored['mean'].parts == (scored['a'], scored['b'])
  with pytest.raises(ValueError, match="metric 'distance' already"):
    tasks.register_metric(distance_metric, kind='label', label='')


@pytest.fixture
def toy_set(monkeypatch):
  """The name of a registered data set; `toy_set` has its two other places."""
  line = datasets.NamedDataset('toy_set.builder', 'squeezed')
  monkeypatch.setitem(datasets.DATASETS, 'toy', line)
  return 'toy'


_PREPARE = """
from transfusion_tf import datasets
datasets.DATASETS['toy'] = datasets.NamedDataset('toy_set.builder', 'squeezed')
from transfusion_tf.cli import prepare_data
prepare_data.run()
"""


@pytest.fixture
def prepare(call, tmp_path):
  """Calls prepare_data.py with the data set registered."""
  script = tmp_path / 'prepare.py'
  script.write_text(_PREPARE)
  return functools.partial(call, script)


def test_a_data_set_is_prepared_trained_on_and_exported(
  toy_set, prepare, tmp_path
):
  rng = np.random.default_rng(0)
  for label, brightness in (('dark', 60), ('bright', 180)):
    (tmp_path / 'raw' / label).mkdir(parents=True)
    for number in range(30):
      pixels = rng.normal(brightness, 20, (40, 50, 3)).clip(0, 255)
      picture = Image.fromarray(pixels.astype(np.uint8))
      picture.save(tmp_path / 'raw' / label / f'{label}{number}.png')
  done = prepare(
    f'--dataset={toy_set}',
    f'--manual_dir={tmp_path / "raw"}',
    f'--data_dir={tmp_path / "data"}',
    '--num_processes=1',
  )
  assert done.returncode == 0, done.stderr
  experiment = prepared_sets.experiment(
    tmp_path / 'data', data__dataset=toy_set
  )
  result = train_and_evaluate.run(experiment, str(tmp_path / 'run'))
  assert {'top1', 'auc'} <= set(result['test'])
  run = run_lib.load_run(str(tmp_path / 'run'))
  prepared = preparation.from_dataset(run.source.prepared)
  assert prepared.text == 'squeezed into a square of 32 pixels'
  exported = export.export(run, tmp_path / 'export')
  assert exported.num_checked


def test_a_missing_data_set_and_help_name_it(toy_set, prepare, tmp_path):
  with pytest.raises(errors.InputError, match=r'prepare_data.py --dataset=toy'):
    tfds_folder.open_dataset(str(tmp_path), toy_set)
  text = ' '.join(prepare('--help').stdout.split())
  assert 'One of retina, chexpert, imagenet2012, toy or image_table.' in text


@pytest.fixture
def figure22(monkeypatch):
  """The name of a figure, whose two places are these two lines."""
  panels = [figure_specs.make_panel('retina', 'cbr_tiny', figure_specs.SPEEDS)]
  monkeypatch.setitem(figure_specs.PANELS, 'figure22', lambda _: panels)
  plot = functools.partial(figures.panels.plot, name='figure22')
  monkeypatch.setitem(figures.FIGURES, 'figure22', plot)
  return 'figure22'


def test_a_figure_has_its_runs_and_is_drawn(figure22, tmp_path):
  fabricated_study.write(tmp_path, scales.QUICK)
  keys = [run.key for run in runs.plans([figure22], scales.QUICK)]
  assert [key for key in keys if 'mean_var' in key]
  fig = figures.FIGURES[figure22](study_lib.Study(str(tmp_path), scales.QUICK))
  assert len(fig.axes[0].lines) >= 3


_HELP = """
import sys
from transfusion_tf.init import schemes
from transfusion_tf.models import registry
registry.register(
  'toy', label='Toy-1', stages=('conv1',), multiply_adds=1, convolutions=1
)(lambda num_classes, input_shape, bn_momentum: None)
schemes.register('halved')(lambda source: None)
from transfusion_tf.cli import {command}
assert not {{'keras', 'tensorflow'}} & set(sys.modules)
{command}.run()
"""


@pytest.mark.parametrize('command', ['train', 'study'])
def test_help_lists_networks_and_schemes(command):
  code = _HELP.format(command=command)
  text = subprocess.run(
    [sys.executable, '-c', code, '--help'],
    capture_output=True,
    text=True,
    check=True,
  ).stdout
  said = ' '.join(text.split())
  assert 'cbr_tiny_wide, toy,' in said
  assert 'mean_var, sampling, shuffled or halved.' in said

"""From run folders to tables, figures and claims; and what damage does."""

import dataclasses
import json
import pathlib
import re
import shutil

import fabricated_study
import numpy as np
import pandas as pd
import pytest

from transfusion_tf import config
from transfusion_tf.models import registry
from transfusion_tf.paper import claims
from transfusion_tf.paper import csv_export
from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import figures
from transfusion_tf.paper import initializations
from transfusion_tf.paper import published_values
from transfusion_tf.paper import runs
from transfusion_tf.paper import scales
from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper import styles
from transfusion_tf.paper import tables
from transfusion_tf.paper import write_study
from transfusion_tf.paper.claims import planning
from transfusion_tf.paper.claims import verdicts as verdicts_lib
from transfusion_tf.study import results

KEY = 'retina/cbr_small/transfer/seed1'
GROUP = figure_specs.Group('retina', 'cbr_small', initializations.TRANSFER)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  """A finished demo study in which the paper is right."""
  made = tmp_path_factory.mktemp('study')
  fabricated_study.write(made)
  return made


@pytest.fixture(scope='module')
def study(root):
  return study_lib.Study(str(root), scales.DEMO)


@pytest.fixture
def copy(root, tmp_path):
  """The study, with CBR-Small's runs and similarities to be damaged."""
  for path in (root / 'retina', root / 'similarity/retina'):
    there = tmp_path / path.relative_to(root)
    there.mkdir(parents=True)
    for part in path.iterdir():
      if part.name == 'cbr_small':
        shutil.copytree(part, there / part.name)
      else:
        (there / part.name).symlink_to(part)
  (tmp_path / 'natural').symlink_to(root / 'natural')
  return tmp_path


def opened(root):
  return study_lib.Study(str(root), scales.DEMO)


def row(table, **labels):
  """The one row of a table's numbers."""
  found = table.numbers()
  for name, value in labels.items():
    found = found[found[name] == value]
  (only,) = found.to_dict('records')
  return only


def test_amounts_of_data_that_a_scale_leaves_out(root):
  scale = dataclasses.replace(scales.DEMO, subsets={5_000: 60})
  study = study_lib.Study(str(root), scale)
  columns = tables.table4(study).frame().columns
  assert [c for c in columns if c.endswith('k')] == ['5k']
  (gap,) = (j for j in claims.judge_all(study) if j.claim.number == 5)
  assert gap.verdict == verdicts_lib.INCONCLUSIVE
  assert gap.finding == 'missing: 50000 images are no part of demo'


def test_table1_is_what_the_runs_say(study, root):
  table = tables.table1(study)
  values = [
    json.loads((root / f'{KEY[:-1]}{n}' / 'result.json').read_text())
    for n in range(3)
  ]
  aucs = [100 * v['test']['referable']['value'] for v in values]
  found = row(table, Model='CBR-Small', column='Transfer')
  assert found['mean'] == pytest.approx(np.mean(aucs))
  assert found['sd'] == pytest.approx(np.std(aucs, ddof=1))
  assert (found['seeds'], found['paper'], found['paper_sd']) == (3, 95.8, 0.01)
  difference = row(table, Model='CBR-Small', column='Transfer − Random')
  random = row(table, Model='CBR-Small', column='Random')
  assert difference['mean'] == pytest.approx(found['mean'] - random['mean'])
  assert difference['low'] < difference['mean'] < difference['high']


@pytest.mark.parametrize(
  ('name', 'labels', 'paper'),
  [
    ('table1', {'Model': 'ResNet-50', 'column': 'Parameters'}, 23_570_408),
    ('table1', {'Model': 'CBR-Tiny', 'column': 'Pretraining top-5'}, 73.5),
    (
      'table2',
      {'Model': 'CBR-LargeW', 'Start': 'Transfer', 'column': 'Edema'},
      89.57,
    ),
    ('table3', {'Model': 'ResNet-50', 'column': 'Transfer'}, 94.6),
    (
      'table4',
      {'Model': 'ResNet-50', 'Start': 'Mean Var', 'column': '50k'},
      95.5,
    ),
    (
      'table4',
      {'Model': 'ResNet-50', 'Start': 'up to conv1', 'column': '5k'},
      92.9,
    ),
    (
      'table5',
      {'Model': 'CBR-Small', 'Stage': 'conv2', 'column': 'Difference'},
      0.168,
    ),
  ],
)
def test_tables_show_the_papers_value(study, name, labels, paper):
  assert row(tables.TABLES[name](study), **labels)['paper'] == paper


def test_accuracies_are_called_what_they_are(study, tmp_path):
  demo = tables.table1(study)
  assert 'stand for ImageNet' in demo.about
  assert 'ImageNet top-5' not in demo.frame()
  paper = tables.table1(study_lib.Study(str(tmp_path), scales.PAPER))
  assert 'ImageNet top-5' in paper.frame()
  assert paper.about == tables.table3(study).about


def test_published_weights_have_an_accuracy(tmp_path):
  study = study_lib.Study(str(tmp_path), scales.PAPER)
  cell = tables.table1(study).rows[1]['ImageNet top-5']
  assert cell.text() == (
    'missing (imagenet2012/inception_v3/published/seed0: not run)'
  )
  (plan,) = runs.pretrainings(scales.PAPER, 'inception_v3')
  world = fabricated_study.NULL
  fabricated_study.write_run(tmp_path / plan.key, plan, world)
  study = study_lib.Study(str(tmp_path), scales.PAPER)
  row = tables.table1(study).frame().set_index('Model').loc['Inception-v3']
  assert row['ImageNet top-5'] == '94.0 (1)'
  assert row['ImageNet top-5, paper'] == '93.9'


def test_papers_tables_are_consistent():
  """Table 2's mean gains, worked out by hand from the printed cells."""
  gains = {
    finding: np.mean(
      [
        published_values.table('table2', m, 'transfer', 0, finding).value
        - published_values.table('table2', m, 'random', 0, finding).value
        for m in figure_specs.TABLE2_MODELS
      ]
    )
    for finding in config.CHEXPERT_FINDINGS
  }
  expected = (-0.10, 1.15, -1.10, 2.84, 0.81)
  assert list(gains.values()) == pytest.approx(expected, abs=0.005)
  for model in figure_specs.CCA_MODELS:
    for stage in registry.stages(model):
      both, random, gap = (
        published_values.table('table5', model, of, 0, stage).value
        for of in ('transfer', 'random', 'difference')
      )
      assert both - random == pytest.approx(gap, abs=0.0011)


def test_everything_has_a_caption():
  assert set(published_values.read('captions')) == set(figure_specs.targets())
  ids = [c['id'] for c in published_values.read('contradictions')]
  assert ids == [f'K{n}' for n in range(1, 20)]


@pytest.mark.parametrize('name', tables.TABLES)
def test_tables_print(study, name):
  table = tables.TABLES[name](study)
  assert 'missing' not in table.frame().to_string()
  latex = table.latex()
  rows = latex.split(r'\midrule')[1].count(r'\\')
  assert rows == len(table.rows)
  assert '±' not in latex and latex.isascii()


@pytest.mark.parametrize('name', list(figures.FIGURES)[1:])
def test_figures_show_no_gap(study, name):
  drawn = figures.FIGURES[name](study)
  assert drawn.axes
  assert not [t for a in drawn.axes for t in a.texts if 'missing' in str(t)]


@pytest.mark.parametrize('name', list(figures.FIGURES))
def test_figures_say_what_is_missing(tmp_path, name):
  drawn = write_study.draw(opened(tmp_path), name)
  texts = ' '.join(t.get_text() for a in drawn.axes for t in a.texts)
  assert 'missing' in texts or name in ('figure11', 'figure21')


def test_figure11_moves_large_models_less_than_small_ones():
  """From the same points, in the colors that these have everywhere."""
  large, small = figures.FIGURES['figure11'](None).axes
  assert [large.get_title(), small.get_title()] == [
    'Large model',
    'Small model',
  ]
  starts, moved = {}, {}
  for axes in (large, small):
    points = np.array([line.get_xydata()[0] for line in axes.lines])
    starts[axes], ends = points[::2], points[1::2]
    moved[axes] = np.hypot(*(ends - starts[axes]).T)
    others = np.hypot(*(ends[:, None] - ends).T)[np.triu_indices(3, 1)]
    assert others.min() > 2 * moved[large].max()
    colors = {line.get_markeredgecolor() for line in axes.lines}
    assert colors == {styles.style(init).color for init in figure_specs.BOTH}
    assert axes.get_xlabel() == 'weight space' and not axes.get_xticks().size
  np.testing.assert_array_equal(starts[large], starts[small])
  assert moved[small].min() > 2 * moved[large].max()


def test_curves_show_mean_and_range(study):
  axes = figures.FIGURES['figure15'](study).axes[1]
  runs_ = study.seeds(
    figure_specs.Group('retina', 'cbr_small', initializations.RANDOM)
  )
  scores = np.array([run.curve['referable'] for run in runs_])
  (line,) = [x for x in axes.lines if x.get_label() == 'Random']
  np.testing.assert_allclose(line.get_ydata(), scores.mean(axis=0))
  band = axes.collections[0].get_paths()[0].vertices
  assert band[:, 1].min() == pytest.approx(scores.min())
  assert band[:, 1].max() == pytest.approx(scores.max())


def damage_nothing(run_dir):
  shutil.rmtree(run_dir)


def damage_metrics(run_dir):
  path = run_dir / 'metrics.jsonl'
  path.write_text(
    re.sub(
      r'"referable": [0-9.]+', '"referable": NaN', path.read_text(), count=1
    )
  )


def damage_null(run_dir):
  path = run_dir / 'metrics.jsonl'
  path.write_text(
    re.sub(
      r'"referable": [0-9.]+', '"referable": null', path.read_text(), count=1
    )
  )


def damage_result(run_dir):
  path = run_dir / 'result.json'
  path.write_text(path.read_text()[:40])


def damage_value(run_dir):
  path = run_dir / 'result.json'
  result = json.loads(path.read_text())
  result['test']['referable']['value'] = None
  path.write_text(json.dumps(result))


def damage_split(run_dir):
  """Not damaged, but tested on one class."""
  path = run_dir / 'result.json'
  result = json.loads(path.read_text())
  undefined = {'value': None, 'low': None, 'high': None, 'undefined': 'no one'}
  result['test']['referable'] = undefined
  path.write_text(json.dumps(result))


def damage_config(run_dir):
  (run_dir / 'config.json').write_text('[]')


@pytest.mark.parametrize(
  ('damage', 'reason'),
  [
    (damage_nothing, 'not run'),
    (damage_metrics, 'metrics.jsonl: line 1: JSON is malformed'),
    (damage_null, 'metrics.jsonl has no referable'),
    (damage_result, 'damaged'),
    (damage_value, 'result.json has no value'),
    (damage_split, 'test referable is not defined: no one'),
    (damage_config, 'damaged'),
  ],
)
def test_one_damaged_run_leaves_the_rest(copy, damage, reason):
  damage(copy / KEY)
  found = opened(copy)
  missing = found.all(GROUP)[1]
  assert isinstance(missing, results.MissingRun) and reason in missing.reason
  cell = row(tables.table1(found), Model='CBR-Small', column='Transfer')
  assert cell['seeds'] == 2 and reason in cell['missing']
  other = row(tables.table1(found), Model='CBR-Tiny', column='Transfer')
  assert other['seeds'] == 3 and not other['missing']


def test_all_seeds_gone_is_a_missing_cell(copy):
  shutil.rmtree(copy / 'retina/cbr_small/transfer')
  table = tables.table1(opened(copy))
  frame = table.frame().set_index('Model')
  assert 'not run' in frame.loc['CBR-Small', 'Transfer']
  assert 'not run' in frame.loc['CBR-Small', 'Transfer − Random']
  assert 'missing' not in frame.loc['CBR-Tiny'].to_string()
  assert frame.loc['CBR-Small', 'Transfer, paper'] == '95.8 ± 0.01'


def test_half_written_scores_lose_only_the_difference(copy):
  path = copy / KEY / 'test_scores.csv'
  path.write_text(path.read_text()[:200])
  table = tables.table1(opened(copy))
  assert row(table, Model='CBR-Small', column='Transfer')['seeds'] == 3
  difference = row(table, Model='CBR-Small', column='Transfer − Random')
  assert np.isnan(difference['mean']) and difference['missing']


def test_other_test_images_are_not_paired(copy):
  path = copy / KEY / 'test_scores.csv'
  scores = pd.read_csv(path)
  scores['image_id'] = scores['image_id'].to_numpy()[::-1]
  scores.to_csv(path, index=False)
  difference = row(
    tables.table1(opened(copy)), Model='CBR-Small', column='Transfer − Random'
  )
  assert 'other images' in difference['missing']


@pytest.mark.parametrize(
  'content', ['', '{"layers": {"conv1": {"mean": NaN}}}']
)
def test_damaged_similarities_are_missing(copy, content):
  for path in pathlib.Path(
    copy, 'similarity/retina/cbr_small/layers'
  ).iterdir():
    if path.name.startswith('random0_final--random'):
      path.write_text(content)
  found = opened(copy)
  cell = row(
    tables.table5(found),
    Model='CBR-Small',
    Stage='conv1',
    column='Random, two seeds',
  )
  assert cell['seeds'] == 1  # Of the three pairs, two had seed 0.


def test_claims_hold_where_the_paper_is_right(study):
  verdicts = {j.claim.number: j.verdict for j in claims.judge_all(study)}
  assert set(verdicts) == set(range(1, 20))
  assert verdicts_lib.FAILS not in verdicts.values()
  held = {n for n, v in verdicts.items() if v == verdicts_lib.HOLDS}
  assert held >= {6, 7, 8, 9, 10, 11, 12}
  (last,) = (j for j in claims.judge_all(study) if j.claim.number == 19)
  assert 'one seed' in last.reason  # Figure 20 of the demo has one.


def test_no_claim_holds_of_networks_that_learned_nothing(tmp_path):
  """Shuffled labels: every test AUC is one half, and its spread is chance."""
  fabricated_study.write(tmp_path, world=fabricated_study.NULL, seed=1)
  for judged in claims.judge_all(opened(tmp_path)):
    assert judged.verdict != verdicts_lib.HOLDS, judged


def test_the_control_can_fail(tmp_path):
  """An effect that is not learning shows where similarity is claimed."""
  leak = dataclasses.replace(
    fabricated_study.NULL, similarity=fabricated_study.PAPERLIKE.similarity
  )
  fabricated_study.write(tmp_path, world=leak, seed=1)
  held = {
    judged.claim.number
    for judged in claims.judge_all(opened(tmp_path))
    if judged.verdict == verdicts_lib.HOLDS
  }
  assert {7, 9} <= held <= {6, 7, 8, 9, 10}


def test_claims_of_an_empty_study_cannot_be_told(tmp_path):
  for judged in claims.judge_all(opened(tmp_path)):
    assert (
      judged.verdict == verdicts_lib.INCONCLUSIVE and 'missing' in judged.reason
    )


@pytest.mark.parametrize(
  ('low', 'high', 'verdict'),
  [
    (0.001, 0.009, verdicts_lib.HOLDS),
    (0.011, 0.02, verdicts_lib.FAILS),
    (-0.02, -0.01, verdicts_lib.FAILS),
    (0.005, 0.02, verdicts_lib.INCONCLUSIVE),
    (np.nan, np.nan, verdicts_lib.INCONCLUSIVE),
  ],
)
def test_verdict_of_an_interval(low, high, verdict):
  half = (high - low) / 2 / 1.959964  # Of a normal distribution.
  estimate = verdicts_lib.statistics.Estimate((low + high) / 2, half**2)
  assert verdicts_lib.Test('', estimate, -0.01, 0.01).verdict == verdict


def _judge(*values):
  """Return the verdict on parts that are claimed below 0, of deviation 1."""
  tests = [
    verdicts_lib.Test('', verdicts_lib.statistics.Estimate(value, 1.0), below=0)
    for value in values
  ]
  claim = verdicts_lib.Claim(1, '', '', '', lambda _: tests, lambda _: ())
  return verdicts_lib.judge(claim, None)


def test_a_claim_fails_by_one_part_of_as_many_as_there_are():
  assert _judge(2.2).verdict == verdicts_lib.FAILS
  assert _judge(2.2).p_value == pytest.approx(0.0278, abs=1e-4)
  alone = _judge(2.2, -3, -3)
  assert alone.verdict == verdicts_lib.INCONCLUSIVE and alone.p_value == 1
  assert alone.reason == '1 of 3 parts alone would fail'
  clear = _judge(2.6, -3, -3)
  assert clear.verdict == verdicts_lib.FAILS
  assert clear.p_value == pytest.approx(3 * 0.00932, abs=1e-4)
  assert _judge(-3, -3).p_value == pytest.approx(0.0027, abs=1e-4)


def test_plain_tables_hold_each_number_once(copy):
  shutil.rmtree(copy / KEY)
  gone = copy / 'similarity/retina/cbr_small/layers'
  shutil.rmtree(gone)
  found = opened(copy)
  tables_ = csv_export.frames(
    found, runs.expand(['table1', 'table5', 'figure17'])
  )
  of_runs = tables_['runs'].set_index('run')
  assert of_runs.index.is_unique
  assert of_runs.loc[KEY, 'missing'] == 'not run'
  beside = KEY.replace('seed1', 'seed0')
  result = json.loads((copy / beside / 'result.json').read_text())
  referable = result['test']['referable']
  assert of_runs.loc[beside, 'missing'] == ''
  assert of_runs.loc[beside, 'test_referable'] == referable['value']
  assert of_runs.loc[beside, 'test_referable_low'] == referable['low']
  assert (of_runs['model'] == of_runs.index.str.split('/').str[1]).sum() == (
    of_runs['missing'] == ''
  ).sum()
  curves = tables_['curves'].set_index('run')
  lines = (copy / beside / 'metrics.jsonl').read_text().splitlines()
  assert curves.loc[beside, 'referable'].tolist() == [
    json.loads(line)['validation']['referable'] for line in lines
  ]
  assert KEY not in curves.index
  pairs = tables_['similarities']
  assert pairs['similarity'].str.startswith('retina/resnet50/').all()
  for pair, layers in pairs.groupby('similarity'):
    path = results.similarity_path(str(copy), pair)
    held = json.loads(pathlib.Path(path).read_text())['layers']
    assert layers['layer'].tolist() == list(held)
    assert layers['mean'].tolist() == [v['mean'] for v in held.values()]


def test_report_is_one_page_with_everything(root, tmp_path):
  shutil.copytree(root, tmp_path / 'study')
  found = opened(tmp_path / 'study')
  shutil.rmtree(tmp_path / 'study' / KEY)
  text = write_study.write(found, ['table1', 'figure21'])
  assert '96.4 ± 0.05' in text
  page = (tmp_path / 'study/report.html').read_text()
  assert 'src="data:image/png;base64' in page
  assert not re.search(r'(src|href)="(?!data:|#)', page)
  for part in ('Table 1', 'Figure 21', 'Missing runs', KEY, 'K19'):
    assert part in page
  for name in (
    'tables/table1.csv',
    'tables/table1.tex',
    'figures/figure21.svg',
    'runs.csv',
    'curves.csv',
  ):
    assert (tmp_path / 'study' / name).stat().st_size


def test_power_tells_what_more_seeds_would_decide(root, tmp_path):
  told = planning.table(claims.CLAIMS, study_lib.Study(str(root), scales.DEMO))
  *rows, decided = told.to_dict('records')
  judged = claims.judge_all(study_lib.Study(str(root), scales.DEMO))
  for row, judgement in zip(rows, judged, strict=True):
    known = judgement.verdict in (verdicts_lib.HOLDS, verdicts_lib.FAILS)
    if judgement.reason:
      continue
    # The seeds that there are decide or do not; independent parts aside.
    assert row['1x the seeds'] == pytest.approx(float(known), abs=1e-6)
  assert decided['8x the seeds'] >= decided['1x the seeds']
  empty = planning.table(
    claims.CLAIMS, study_lib.Study(str(tmp_path), scales.DEMO)
  )
  assert empty['8x the seeds'][:-1].isna().all()

"""The numbers that the project keeps of studies that were carried out."""

import pathlib
import re

import numpy as np
import pandas as pd
import paths
import pytest

from transfusion_tf import config
from transfusion_tf import paper
from transfusion_tf.models import registry
from transfusion_tf.paper import cca_pairs
from transfusion_tf.paper import claims
from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import runs
from transfusion_tf.paper import scales
from transfusion_tf.paper.claims import verdicts

FOLDERS = pathlib.Path(paper.__file__).parent
SETTINGS = (
  'model',
  'bn_momentum',
  'init',
  'image_size',
  'subset',
  'batch_size',
  'train_steps',
  'eval_every',
  'learning_rate',
  'seed',
)
# Of the set in the place of RETINA.
METRICS = {'demo': 'referable', 'real': 'auc'}


@pytest.fixture(scope='module', params=['demo', 'real'])
def scale(request):
  return scales.named(request.param)


@pytest.fixture(scope='module')
def made(scale):
  return _read(scale, 'runs').set_index('run')


def _read(scale, name):
  path = FOLDERS / f'{scale.name}_study' / f'{name}.csv'
  return pd.read_csv(path, keep_default_na=False)


def test_all_runs_are_there_with_the_settings_of_this_code(scale, made):
  plans = {plan.key: plan for plan in runs.plans(['all'], scale)}
  assert set(made.index) == set(plans)
  assert not made['missing'].any()
  for key, plan in plans.items():
    settings = config.flatten(plan.experiment)
    for flag in SETTINGS:
      assert made.loc[key, flag] == settings[config.FLAGS[flag]], (key, flag)


def test_commits_made_them(made):
  assert made['commit'].map(re.compile('[0-9a-f]{7,}').fullmatch).all()


def test_each_run_has_its_curve(scale, made):
  curves = _read(scale, 'curves').groupby('run')
  assert set(curves.groups) == set(made.index)
  for key, curve in curves:
    assert curve['step'].iloc[-1] == made.loc[key, 'train_steps']


def test_all_networks_are_compared(scale):
  wanted = cca_pairs.required(figure_specs.targets(), scale)
  found = _read(scale, 'similarities')
  assert set(found['similarity']) == {c.key for c in wanted}
  assert found['mean'].between(0, 1).all()


def test_table_1_follows_from_the_runs(scale, made):
  table = _read(scale, 'table1').set_index(['Model', 'column'])
  repeats = figure_specs.repeats(scale)
  for model in figure_specs.ALL_MODELS:
    for start in figure_specs.BOTH:
      group = figure_specs.Group(figure_specs.RETINA, model, start)
      seeds = range(repeats[group])
      keys = [runs.key(scale, group, seed) for seed in seeds]
      aucs = 100 * made.loc[keys, f'test_{METRICS[scale.name]}'].astype(float)
      cell = table.loc[(registry.label(model), start.label)]
      assert float(cell['mean']) == pytest.approx(aucs.mean(), abs=1e-3)
      assert float(cell['sd']) == pytest.approx(np.std(aucs, ddof=1), abs=1e-3)
      assert int(float(cell['seeds'])) == len(seeds)


def test_the_claims_are_the_papers(scale):
  found = _read(scale, 'claims')
  assert found['The paper says'].tolist() == [c.text for c in claims.CLAIMS]
  known = {verdicts.HOLDS, verdicts.FAILS, verdicts.INCONCLUSIVE}
  assert set(found['Verdict']) <= known


@pytest.mark.parametrize('page', ['README.md', 'docs/studies.md'])
def test_the_documents_show_the_kept_table(page):
  text = (paths.ROOT / page).read_text('utf-8').replace('−', '-')
  table = _read(scales.named('real'), 'table1').set_index(['Model', 'column'])
  differences = _differences()
  for model in dict.fromkeys(table.index.get_level_values('Model')):
    scores = [
      '{:.1f} ± {:.1f}'.format(
        *map(float, table.loc[(model, s), ['mean', 'sd']])
      )
      for s in ('Random', 'Transfer')
    ]
    row = ' | '.join([f'| {model}', *scores, differences[model]])
    assert row in text, row


def _differences():
  """Return network -> transfer minus random in points, of claim 1."""
  judged = _read(scales.named('real'), 'claims').set_index('Claim')
  found = re.findall(
    r'random, (\S+), test AUC: (\S+) \[(\S+), (\S+)\]', judged.loc[1, 'Ours']
  )
  return {
    model: '{:+.1f} [{:+.1f}, {:+.1f}]'.format(*(100 * float(n) for n in ends))
    for model, *ends in found
  }

"""The numbers that the project keeps of the demo study, carried out."""

import pathlib
import re

import numpy as np
import pandas as pd
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

FOLDER = pathlib.Path(paper.__file__).parent / 'demo_study'
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


def _read(name):
  return pd.read_csv(FOLDER / f'{name}.csv', keep_default_na=False)


@pytest.fixture(scope='module')
def made():
  return _read('runs').set_index('run')


def test_all_runs_are_there_with_the_settings_of_this_code(made):
  plans = {plan.key: plan for plan in runs.plans(['all'], scales.DEMO)}
  assert set(made.index) == set(plans)
  assert not made['missing'].any()
  for key, plan in plans.items():
    settings = config.flatten(plan.experiment)
    for flag in SETTINGS:
      assert made.loc[key, flag] == settings[config.FLAGS[flag]], (key, flag)


def test_one_commit_made_them(made):
  (commit,) = made['commit'].unique()
  assert re.fullmatch('[0-9a-f]{7,}', commit)


def test_each_run_has_its_curve(made):
  curves = _read('curves').groupby('run')
  assert set(curves.groups) == set(made.index)
  for key, curve in curves:
    assert curve['step'].iloc[-1] == made.loc[key, 'train_steps']


def test_all_networks_are_compared():
  wanted = cca_pairs.required(figure_specs.targets(), scales.DEMO)
  found = _read('similarities')
  assert set(found['similarity']) == {c.key for c in wanted}
  assert found['mean'].between(0, 1).all()


def test_table_1_follows_from_the_runs(made):
  table = _read('table1').set_index(['Model', 'column'])
  for model in figure_specs.ALL_MODELS:
    for start in figure_specs.BOTH:
      keys = [f'retina/{model}/{start.name}/seed{n}' for n in range(3)]
      aucs = 100 * made.loc[keys, 'test_referable'].astype(float)
      cell = table.loc[(registry.label(model), start.label)]
      assert float(cell['mean']) == pytest.approx(aucs.mean(), abs=1e-3)
      assert float(cell['sd']) == pytest.approx(np.std(aucs, ddof=1), abs=1e-3)
      assert int(float(cell['seeds'])) == 3


def test_the_claims_are_the_papers():
  found = _read('claims')
  assert found['The paper says'].tolist() == [c.text for c in claims.CLAIMS]
  known = {verdicts.HOLDS, verdicts.FAILS, verdicts.INCONCLUSIVE}
  assert set(found['Verdict']) <= known

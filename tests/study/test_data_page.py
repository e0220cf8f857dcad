"""How much data is enough: what the report says of made-up studies."""

import html
import itertools
import json

import made_up_sizes
import numpy as np
import pandas as pd
import pytest

from transfusion_tf.study import data_answers
from transfusion_tf.study import data_page
from transfusion_tf.study import measured_curves
from transfusion_tf.study import model_cost
from transfusion_tf.study import outcome as outcome_lib
from transfusion_tf.study import paired
from transfusion_tf.study import similarity as similarity_lib
from transfusion_tf.study import study_page

_MODEL = made_up_sizes.MODEL
_COSTS = {_MODEL: model_cost.Footprint(30, 1e9, 1.0)}
_TITLE = 'How much data is enough for CBR-Tiny?'


def _section(tmp_path, outcome, margin=0.01):
  (found,) = data_page.sections(
    str(tmp_path), outcome, paired.Comparer(), margin
  )
  return found


def _difference(**study):
  return measured_curves.difference(
    made_up_sizes.study(**study).runs_by_size,
    _MODEL,
    'transfer',
    paired.Comparer(),
  )


def test_a_study_has_its_section_and_file(tmp_path):
  found = _section(tmp_path, made_up_sizes.study())
  text = ' '.join(found.paragraphs)
  assert found.title == _TITLE
  assert '400 more patients, 800 in all, would be worth +0.0' in text
  assert 'All runs of a size share one subset' in text
  assert list(found.table['Start']) == ['Random', 'Transfer']
  assert set(found.table['Size']) == {'400'}
  assert len(found.figure.axes) == 2
  found.figure.draw_without_rendering()
  table = pd.read_csv(tmp_path / data_page.TABLE)
  measured = table[table['kind'] == 'measured']
  assert measured.groupby(['start', 'minus'], dropna=False).size().eq(4).all()
  assert list(measured['patients'][:4]) == [50, 100, 200, 400]
  assert (measured['images'] == 2 * measured['patients']).all()
  forecast = table[table['kind'] == 'forecast']
  assert set(forecast['patients']) == {800, 1600}
  assert (table['low'] <= table['value']).all()
  assert (table['value'] <= table['high']).all()
  assert sum(table['kind'] == 'held out') == 2 + 1


def test_the_whole_set_is_judged_as_without_subsets(tmp_path):
  with_subsets = made_up_sizes.study()
  alone = outcome_lib.Outcome(with_subsets.results, {})
  pages = []
  for name, outcome in (('with', with_subsets), ('alone', alone)):
    (tmp_path / name).mkdir()
    similarity, _ = similarity_lib.measure({})
    study_page.write(
      str(tmp_path / name), 'own', outcome, _COSTS, 0.01, similarity, {}
    )
    pages.append(html.unescape((tmp_path / name / 'report.html').read_text()))
  for name in ('study.csv', 'study.json', 'clinical.csv'):
    texts = [(tmp_path / n / name).read_text() for n in ('with', 'alone')]
    assert texts[0] == texts[1]
  assert _TITLE in pages[0]
  assert _TITLE not in pages[1]
  assert not (tmp_path / 'alone' / data_page.TABLE).exists()
  assert json.loads((tmp_path / 'with' / 'study.json').read_text())['effects']


def test_two_sizes_are_points_without_a_law(tmp_path):
  found = _section(tmp_path, made_up_sizes.study(sizes=(50,)))
  text = ' '.join(found.paragraphs)
  assert 'no forecast, for a law takes 3 sizes or more' in text
  assert 'would be worth' not in text
  assert found.table is None
  table = pd.read_csv(tmp_path / data_page.TABLE)
  assert set(table['kind']) == {'measured'}


def test_three_sizes_have_a_law_that_nothing_tests(tmp_path):
  found = _section(tmp_path, made_up_sizes.study(sizes=(50, 100)))
  text = ' '.join(found.paragraphs)
  assert 'would be worth' in text
  assert 'The forecast is not tested: that takes 4 sizes' in text
  assert found.table is None


def test_one_seed_has_no_law(tmp_path):
  found = _section(tmp_path, made_up_sizes.study(seeds=1))
  text = ' '.join(found.paragraphs)
  assert 'a law takes two seeds or more' in text
  assert 'cannot be told' in text
  found.figure.draw_without_rendering()


def test_sizes_at_chance_have_no_part_in_a_law(tmp_path):
  laws = {
    'random': lambda n: np.where(n < 80, 0.5, 0.05 + 2 * n**-0.65),
    'transfer': made_up_sizes.LAWS['transfer'],
  }
  outcome = made_up_sizes.study(laws=laws, stddev=0.02)
  text = ' '.join(_section(tmp_path, outcome).paragraphs)
  assert 'With 50 patients, Transfer or random weights are not shown' in text
  table = pd.read_csv(tmp_path / data_page.TABLE)
  chance = table[table['kind'] == 'at chance']
  assert set(chance['patients']) == {50}
  assert set(chance['start']) == {'random', 'transfer'}
  assert chance['minus'].isna().sum() == 1  # Transfer itself has learned.


@pytest.mark.parametrize(
  ('transfer', 'margin', 'sentence'),
  [
    (lambda n: 0.02 + 0.2 * n**-0.6, 0.01, 'Transfer pays at all sizes'),
    (made_up_sizes.LAWS['random'], 0.2, 'Transfer pays at none of the sizes'),
    (made_up_sizes.LAWS['random'], 0.001, 'Where Transfer stops paying cannot'),
  ],
)
def test_where_transfer_pays(transfer, margin, sentence):
  laws = {'random': made_up_sizes.LAWS['random'], 'transfer': transfer}
  curve = _difference(laws=laws, stddev=0.02)
  texts = list(data_answers.pays(curve, margin, 'patients'))
  assert texts[0].startswith(sentence)
  assert ('would narrow it' in texts[-1]) == ('cannot' in texts[-1])


def test_a_crossing_with_both_ends_is_said():
  laws = {
    'random': lambda n: 0.02 + 12 / n,
    'transfer': lambda n: 0.02 + 2 / n,
  }
  study = {'laws': laws, 'stddev': 0.005, 'total': 800}
  curve = _difference(**study)
  texts = list(data_answers.pays(curve, 0.05, 'images'))
  assert texts == [texts[0]]
  assert texts[0].startswith('Transfer stops paying, by less than 0.05, at')
  found = curve.crossing(0.05)
  assert found.low < 200 < found.high
  by_size, comparer = made_up_sizes.study(**study).runs_by_size, None
  comparer = paired.Comparer()
  scores = [
    measured_curves.score(by_size, _MODEL, start, comparer) for start in laws
  ]
  (text,) = data_answers.equivalents(scores, comparer, 'patients')
  # 12 / n = 2 / 50 at 300.
  assert text.endswith('what Transfer reaches with 50.')
  found = measured_curves.equivalent(scores[1], scores[0], 50, comparer)
  assert found.low < 300 < found.high


def test_what_no_law_fits_has_none(tmp_path):
  """A perfect network of every seed and size leaves no variance."""
  laws = {'random': made_up_sizes.LAWS['random'], 'transfer': lambda n: 0 * n}
  outcome = made_up_sizes.study(laws=laws, stddev=0.02)
  for run in itertools.chain(outcome.results, *outcome.of_subsets.values()):
    if run.experiment.init.scheme == 'transfer':
      scores = run.scores.assign(**{'auc:score': run.scores['auc:label']})
      run.__dict__['scores'] = scores
      run.result['test']['auc']['value'] = 1.0
  found = _section(tmp_path, outcome)
  text = ' '.join(found.paragraphs)
  assert 'Transfer: no forecast, for a law takes two seeds' in text
  assert 'Random: 400 more patients' in text
  found.figure.draw_without_rendering()


@pytest.mark.slow
def test_curves_of_aucs_of_patients():
  """The whole way: images of patients, runs of seeds, curves, laws."""
  held = []
  for seed in range(150):
    by_size = made_up_sizes.study(seed=seed).runs_by_size
    comparer = paired.Comparer()
    difference = measured_curves.difference(
      by_size, _MODEL, 'transfer', comparer
    )
    random = measured_curves.score(by_size, _MODEL, 'random', comparer)
    transfer = measured_curves.score(by_size, _MODEL, 'transfer', comparer)
    errors = [law(800.0) for law in made_up_sizes.LAWS.values()]
    equal = measured_curves.equivalent(transfer, random, 50, comparer)
    truth = ((made_up_sizes.LAWS['transfer'](50.0) - 0.05) / 2) ** (-1 / 0.65)
    held.append(
      [
        1 - errors[0] in random.at(800),
        1 - errors[1] in transfer.at(800),
        errors[0] - errors[1] in difference.at(800),
        _is_within(random),
        _is_within(difference),
        (equal.open_low or equal.low <= truth)
        and (equal.open_high or truth <= equal.high),
      ]
    )
  print(f'AUCs: {np.mean(held, axis=0)}')
  assert (np.mean(held, axis=0) >= 0.93).all()


def _is_within(curve):
  measured, forecast = curve.held_out()
  return measured in forecast


def test_a_start_that_still_improves_is_named(tmp_path):
  outcome = made_up_sizes.study()
  for run in outcome.of_subsets[50]:
    if run.experiment.init.scheme == 'random':
      rising = pd.DataFrame({'step': [0, 1, 2], 'auc': [0.5, 0.6, 0.7]})
      object.__setattr__(run, 'curve', rising)
  text = ' '.join(_section(tmp_path, outcome).paragraphs)
  assert (
    'Random with 50 patients: more than half of the runs were still' in text
  )
  assert 'Transfer with' not in text

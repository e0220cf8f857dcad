"""Columns of answers, of every kind of task."""

import io

import numpy as np
import pandas as pd
import pytest

from transfusion_tf import decisions as decisions_lib
from transfusion_tf import tasks
from transfusion_tf.metrics import operating_points
from transfusion_tf.predict import answers
from transfusion_tf.predict import pictures


def _table(task, chosen, probabilities):
  rows = [
    answers.of_network('one', '', np.float32(probabilities), 'ok', ''),
    answers.Answer('two', 'not an image', 'it is a letter'),
    answers.of_network('three', '', np.full(len(task.names), np.nan), 'ok', ''),
  ]
  table = answers.table(task, chosen, rows)
  # As whoever reads the file finds it.
  text = table.to_csv(index=False)
  assert 'nan' not in text.lower().replace('no finite', '')
  return pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)


def test_a_choice_is_named_and_what_is_bad_is_blank():
  task = tasks.Classes(('a', 'b, "c"', 'd'))
  table = _table(task, None, [0.2, 0.7, 0.1])
  assert list(table) == [
    *('id', 'p_a', 'p_b, "c"', 'p_d', 'decision_class', 'status', 'reason')
  ]
  assert list(table['decision_class']) == ['b, "c"', '', '']
  assert list(table['p_a']) == ['0.2', '', '']
  bad = ['ok', 'not an image', 'no finite answer']
  assert list(table['status']) == bad


def test_findings_are_decided_each_by_itself():
  task = tasks.Findings(('Edema', 'Mass'))
  target = operating_points.Target(operating_points.HIGH_SENSITIVITY, 0.9)
  points = tuple(
    operating_points.Chosen(name, target, threshold, 10)
    for name, threshold in (('Edema', 0.5), ('Mass', np.inf))
  )
  chosen = decisions_lib.Decisions(points, temperature=2.0)
  table = _table(task, chosen, [0.5, 1.0])
  assert list(table['decision_Edema_high_sensitivity']) == ['1', '', '']
  assert list(table['decision_Mass_high_sensitivity']) == ['0', '', '']
  assert list(table['calibrated_Edema']) == ['0.5', '', '']
  assert float(table['calibrated_Mass'][0]) > 0.99


@pytest.mark.parametrize('in_order', [True, False])
def test_any_part_of_a_list_is_found(tmp_path, in_order):
  names = ['z', 'ä \n', 'b\udcff', 'a', 'z', 'B']
  given = [pictures.Picture(name, f'/{name}') for name in names]
  listed = pictures.Pictures(str(tmp_path / 'list'), given, in_order)
  unique = list(dict.fromkeys(names))
  if not in_order:
    unique.sort(key=lambda name: name.encode('utf-8', 'surrogateescape'))
  assert [p.id for p in listed[:]] == unique
  assert listed[2].id == unique[2] and listed[1:3] == listed[:][1:3]
  assert listed[2].path == f'/{unique[2]}'
  assert (len(listed), listed.num_repeated) == (5, 1)
  other = pictures.Pictures(str(tmp_path / 'other'), given[1:], in_order)
  assert (listed.digest == other.digest) == (not in_order)

"""The primary metric in groups of test images: sex, age band, view, site."""

from collections.abc import Iterator, Sequence
import re

import numpy as np
import pandas as pd

from transfusion_tf import datasets
from transfusion_tf import metrics
from transfusion_tf.study import over_networks

COLUMNS = ('column', 'group', 'images', 'patients', 'positive')


def rows(
  tables: Sequence[pd.DataFrame], groups: pd.DataFrame, metric: str
) -> pd.DataFrame:
  """Return a row for each group that test images belong to.

  Args:
    tables: Scores of networks on the same images, one a seed.
    groups: `PreparedDataset.subgroups`.
    metric: Name of the metric.

  Returns:
    COLUMNS; `score` and `difference`, that from all other images, each an
    `over_networks.Score`. `positive` counts images, and is empty for a choice
    of several classes.
  """
  first = tables[0]
  patient = metrics.patient_numbers(first['patient_id'])
  belongs = groups.reindex(first['image_id'].astype(str))
  made = []
  for column in groups:
    names = belongs[column].fillna(datasets.NO_GROUP).to_numpy()
    for name in sorted(set(names), key=_order):
      inside = names == name
      group = _group(tables, inside, patient, metric)
      rest = _group(tables, ~inside, patient, metric)
      made.append(
        {
          'column': column,
          'group': name,
          'images': int(inside.sum()),
          'patients': len(set(patient[inside])),
          'positive': _positive(first[inside]),
          'score': over_networks.score(group),
          'difference': over_networks.difference(group, rest),
        }
      )
  return pd.DataFrame(made, columns=[*COLUMNS, 'score', 'difference'])


def caution(table: pd.DataFrame) -> str:
  """Return what so many comparisons allow one to conclude, in a sentence."""
  compared = [d for d in table['difference'] if not np.isnan(d.low)]
  apart = sum(d.low > 0 or d.high < 0 for d in compared)
  return (
    f'{len(compared)} groups are compared with all other images; intervals '
    f'that exclude 0: {apart}. Where no group differs, about one in twenty '
    'does so by chance: it is a reason to look at that group in other data, '
    'and no finding. Nor does an interval that holds 0 show that a group is '
    'served as well as the others.'
  )


def flat(table: pd.DataFrame) -> Iterator[dict]:
  """Yield the rows as a CSV file can hold them."""
  for row in table.to_dict('records'):
    score, difference = row.pop('score'), row.pop('difference')
    yield row | {
      'value': score.value,
      'low': score.low,
      'high': score.high,
      'difference': difference.value,
      'difference_low': difference.low,
      'difference_high': difference.high,
      'networks': score.networks,
      'note': score.reason or difference.reason,
    }


def _group(tables, inside, patient, metric):
  parts = [metrics.from_columns(t[inside], metric) for t in tables]
  return over_networks.Group(parts, patient[inside], patient.max() + 1)


def _positive(table):
  """Return the number of images of which a question's answer is yes."""
  answers = metrics.answers.from_table(table)
  if not isinstance(answers, metrics.answers.Questions):
    return None
  labels = np.stack([labels for labels, _ in answers.asked.values()])
  return int(np.sum((labels > 0).any(axis=0)))


def _order(name):
  """Sort bands by their beginning, other names by letters, blanks last."""
  number = re.search(r'\d+(\.\d+)?', name)
  is_band = re.fullmatch(r'(under )?[\d.e+-]+( to under .+| and over)?', name)
  return (
    name == datasets.NO_GROUP,
    float(number[0]) if number and is_band else 0.0,
    not name.startswith('under '),
    name,
  )

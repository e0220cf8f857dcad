"""Tables 1 to 5: our results beside the paper's, as functions of a study."""

from collections.abc import Callable

import numpy as np

from transfusion_tf.models import registry
from transfusion_tf.paper import cca_pairs
from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import initializations as init_lib
from transfusion_tf.paper import published_values
from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper import table_format
from transfusion_tf.study import results
from transfusion_tf.study import statistics

NONE = '–'
_PERCENT = 100
_DIFFERENCE = 'Transfer − Random'
_PAIR = (-1, 1)  # Transfer minus random, in the order of `figure_specs.BOTH`.


def table1(study: study_lib.Study) -> table_format.Table:
  """Return referable DR, all networks."""
  rows = []
  for model in figure_specs.ALL_MODELS:
    row = _both(study, 'table1', figure_specs.RETINA, model, 'referable')
    row['Parameters'] = _parameters(study, model)
    row[study.scale.accuracy] = _accuracy(study, model)
    rows.append({'Model': registry.label(model)} | row)
  about = f'{table_format.ABOUT_AUCS} {study.scale.accuracy_note}'.rstrip()
  return table_format.Table('table1', 'RETINA', rows, about)


def table2(study: study_lib.Study) -> table_format.Table:
  """Return CheXpert, five findings: rows of both, and their difference."""
  rows = []
  for model in figure_specs.TABLE2_MODELS:
    findings = [
      _both(study, 'table2', figure_specs.CHEXPERT, model, finding)
      for finding in figure_specs.FINDINGS
    ]
    for label in findings[0]:
      cells = [cells[label] for cells in findings]
      rows.append(
        {'Model': registry.label(model), 'Start': label}
        | dict(zip(figure_specs.FINDINGS, cells, strict=True))
      )
  return table_format.Table('table2', 'CheXpert', rows)


def table3(study: study_lib.Study) -> table_format.Table:
  """Return RETINA with 5000 images."""
  rows = [
    {'Model': registry.label(model)}
    | _both(study, 'table3', figure_specs.RETINA, model, 'referable', 5_000)
    for model in figure_specs.SMALL_DATA_MODELS
  ]
  return table_format.Table('table3', '5000 images of RETINA', rows)


def table4(study: study_lib.Study) -> table_format.Table:
  """Return RETINA by amount of data; the paper leaves cells empty."""
  rows = []
  for model, init, amounts in figure_specs.TABLE4:
    row: table_format.Row = {
      'Model': registry.label(model),
      'Start': init.label,
    }
    for images in study.scale.subsets:
      (group,) = figure_specs.retina(model, init, images=images)
      row[f'{images // 1000}k'] = (
        _score(study, 'table4', group, 'referable')
        if images in amounts
        else NONE
      )
    rows.append(row)
  return table_format.Table('table4', 'Amount of data', rows)


def table5(study: study_lib.Study) -> table_format.Table:
  """Return CCA similarity of two trained networks, stage by stage."""
  rows = []
  for model in figure_specs.CCA_MODELS:
    random, transfer = (
      cca_pairs.same(study.scale, model, init) for init in figure_specs.BOTH
    )
    for stage in registry.stages(model):
      rows.append(
        {
          'Model': registry.label(model),
          'Stage': stage,
          'Pretrained, two seeds': _similarity(
            study, model, 'transfer', transfer, stage
          ),
          'Random, two seeds': _similarity(
            study, model, 'random', random, stage
          ),
          'Difference': _similarity_gap(study, model, transfer, random, stage),
          'Noise floor': _noise_floor(study, random, stage),
        }
      )
  return table_format.Table(
    'table5',
    'CCA similarity',
    rows,
    'Mean CCA similarity: mean ± standard deviation over pairs of networks '
    '(number of pairs); differences with their 95 % interval over networks. '
    'The noise floor is that of unrelated networks.',
  )


TABLES: dict[str, Callable[[study_lib.Study], table_format.Table]] = {
  'table1': table1,
  'table2': table2,
  'table3': table3,
  'table4': table4,
  'table5': table5,
}


def _both(study, target, dataset, model, metric, images=0):
  """Return random, transfer and their difference."""
  groups = figure_specs.make_groups(dataset, [model], figure_specs.BOTH, images)
  return {
    group.initialization.label: _score(study, target, group, metric)
    for group in groups
  } | {
    _DIFFERENCE: table_format.Difference.make(
      lambda: study.difference(_PAIR, groups, metric), unit=_PERCENT
    )
  }


def _score(study, target, group, metric):
  _, missing = results.split(study.all(group))
  return table_format.Score.make(
    lambda: statistics.Summary.from_values(study.test(group, metric)),
    published_values.table(
      target, group.model, group.initialization.name, group.images, metric
    ),
    _PERCENT,
    missing=[run.reason for run in missing],
  )


def _parameters(study, model):
  (group,) = figure_specs.retina(model, init_lib.RANDOM)

  def count():
    run = study.seeds(group)[0]
    return statistics.Summary(run.result['trainable_parameters'], np.nan, 0)

  paper = published_values.table('table1', model, '', '', 'parameters')
  return table_format.Score.make(count, paper, unit=1, digits=0)


def _accuracy(study, model):
  return table_format.Score.make(
    lambda: statistics.Summary.from_values(study.accuracies(model)),
    published_values.table('table1', model, 'random', '', 'top5'),
    _PERCENT,
  )


def _similarity(study, model, initialization, pairs, stage):
  return table_format.Score.make(
    lambda: statistics.Summary.from_values(study.layers(pairs)[stage]),
    published_values.table('table5', model, initialization, 0, stage),
    digits=3,
  )


def _similarity_gap(study, model, transfer, random, stage):
  return table_format.Difference.make(
    lambda: study.similarities(
      [(1, transfer), (-1, random)], lambda layers: layers[stage]['mean']
    ),
    published_values.table('table5', model, 'difference', 0, stage),
    digits=3,
  )


def _noise_floor(study, pairs, stage):
  def compute():
    floors = [study.similarity(c)[stage]['noise_floor'] for c in pairs]
    return statistics.Summary.from_values([floor['mean'] for floor in floors])

  return table_format.Score.make(compute, digits=3)

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
    row = _retina(study, 'table1', model)
    row['Parameters'] = _parameters(study, model)
    row[study.scale.accuracy] = _accuracy(study, model)
    rows.append({'Model': registry.label(model)} | row)
  about = f'{table_format.ABOUT_AUCS} {study.scale.accuracy_note}'.rstrip()
  return table_format.Table('table1', _label(study), rows, about)


def table2(study: study_lib.Study) -> table_format.Table:
  """Return CheXpert, five findings: rows of both, and their difference."""
  data, rows = study.scale.datasets[figure_specs.CHEXPERT], []
  for model in figure_specs.TABLE2_MODELS:
    findings = [
      _both(study, 'table2', figure_specs.CHEXPERT, model, finding)
      for finding in data.metrics
    ]
    for label in findings[0]:
      cells = [cells[label] for cells in findings]
      rows.append(
        {'Model': registry.label(model), 'Start': label}
        | dict(zip(data.metrics, cells, strict=True))
      )
  return table_format.Table('table2', data.label, rows)


def table3(study: study_lib.Study) -> table_format.Table:
  """Return RETINA with 5000 images."""
  rows = [
    {'Model': registry.label(model)} | _retina(study, 'table3', model, 5_000)
    for model in figure_specs.SMALL_DATA_MODELS
  ]
  return table_format.Table('table3', f'5000 images of {_label(study)}', rows)


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
        _score(study, 'table4', group, _metric(study))
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


def _label(study):
  return study.scale.datasets[figure_specs.RETINA].label


def _metric(study):
  """Return the one metric of RETINA, or of what stands in its place."""
  (metric,) = study.scale.datasets[figure_specs.RETINA].metrics
  return metric


def _retina(study, target, model, images=0):
  return _both(
    study, target, figure_specs.RETINA, model, _metric(study), images
  )


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
  # The paper has one column of RETINA, whatever stands in its place.
  column = 'referable' if group.dataset == figure_specs.RETINA else metric
  return table_format.Score.make(
    lambda: statistics.Summary.from_values(study.test(group, metric)),
    published_values.table(
      target, group.model, group.initialization.name, group.images, column
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

"""Tables 1 to 5: ours beside the paper's, as functions of a study."""

from collections.abc import Callable

import numpy as np

from transfusion_tf.models import registry
from transfusion_tf.paper import cca_pairs
from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import initializations
from transfusion_tf.paper import published_values
from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper.table_format import Difference
from transfusion_tf.paper.table_format import Score
from transfusion_tf.paper.table_format import Table
from transfusion_tf.study import results
from transfusion_tf.study import statistics

NONE = '–'
_PERCENT = 100
_DIFFERENCE = 'Transfer − Random'
_PAIR = (-1, 1)  # Transfer minus random, in the order of `contents.BOTH`.


def table1(study: study_lib.Study) -> Table:
  """Return referable DR, all networks."""
  rows = []
  for model in figure_specs.ALL_MODELS:
    row = _both(study, 'table1', figure_specs.RETINA, model, 'referable')
    row['Parameters'] = _parameters(study, model)
    row['ImageNet top-5'] = _accuracy(study, model)
    rows.append({'Model': registry.label(model)} | row)
  return Table('table1', 'RETINA', rows)


def table2(study: study_lib.Study) -> Table:
  """CheXpert, five findings: a row a start, and their difference."""
  rows = []
  for model in figure_specs.TABLE2_MODELS:
    for start in figure_specs.BOTH:
      group = figure_specs.Group(figure_specs.CHEXPERT, model, start)
      rows.append(
        {'Model': registry.label(model), 'Start': start.label}
        | {f: _score(study, 'table2', group, f) for f in figure_specs.FINDINGS}
      )
    rows.append(
      {'Model': registry.label(model), 'Start': _DIFFERENCE}
      | {
        finding: _difference(study, figure_specs.CHEXPERT, model, finding)
        for finding in figure_specs.FINDINGS
      }
    )
  return Table('table2', 'CheXpert', rows)


def table3(study: study_lib.Study) -> Table:
  """RETINA with 5000 images."""
  rows = [
    {'Model': registry.label(model)}
    | _both(study, 'table3', figure_specs.RETINA, model, 'referable', 5_000)
    for model in figure_specs.SMALL_DATA_MODELS
  ]
  return Table('table3', '5000 images of RETINA', rows)


def table4(study: study_lib.Study) -> Table:
  """RETINA by amount of data; the paper leaves cells empty."""
  rows = []
  for model, start, amounts in figure_specs.TABLE4:
    row = {'Model': registry.label(model), 'Start': start.label}
    for images in study.scale.subsets:
      group = figure_specs.Group(figure_specs.RETINA, model, start, images)
      row[f'{images // 1000}k'] = (
        _score(study, 'table4', group, 'referable')
        if images in amounts
        else NONE
      )
    rows.append(row)
  return Table('table4', 'Amount of data', rows)


def table5(study: study_lib.Study) -> Table:
  """CCA similarity of two trained networks, stage by stage."""
  rows = []
  for model in figure_specs.CCA_MODELS:
    of = {
      s: cca_pairs.same_start(study.scale, model, s) for s in figure_specs.BOTH
    }
    for layer in registry.stages(model):
      rows.append(
        {
          'Model': registry.label(model),
          'Stage': layer,
          'Pretrained, two seeds': _similar(
            study, model, initializations.TRANSFER, of, layer
          ),
          'Random, two seeds': _similar(
            study, model, initializations.RANDOM, of, layer
          ),
          'Difference': _similarity_gap(study, model, of, layer),
          'Noise floor': _floor(study, of[initializations.RANDOM], layer),
        }
      )
  return Table(
    'table5',
    'CCA similarity',
    rows,
    'Mean CCA similarity: mean ± standard deviation over pairs of networks '
    '(number of pairs); differences with their 95 % interval over pairs. The '
    'noise floor is that of unrelated networks.',
  )


TABLES: dict[str, Callable[[study_lib.Study], Table]] = {
  'table1': table1,
  'table2': table2,
  'table3': table3,
  'table4': table4,
  'table5': table5,
}


def _both(study, target, dataset, model, metric, images=0):
  """Random, transfer and their difference."""
  row = {
    start.label: _score(
      study, target, figure_specs.Group(dataset, model, start, images), metric
    )
    for start in figure_specs.BOTH
  }
  row[_DIFFERENCE] = _difference(study, dataset, model, metric, images)
  return row


def _score(study, target, group, metric):
  paper = published_values.table(
    target, group.model, group.start.name, group.images, metric
  )
  return Score.made(
    lambda: statistics.Summary.of(study.test(group, metric)),
    paper,
    _PERCENT,
    gaps=[m.reason for m in study.all(group) if isinstance(m, results.Missing)],
  )


def _difference(study, dataset, model, metric, images=0):
  groups = [
    figure_specs.Group(dataset, model, s, images) for s in figure_specs.BOTH
  ]
  return Difference.made(
    lambda: study.difference(_PAIR, groups, metric), unit=_PERCENT
  )


def _parameters(study, model):
  group = figure_specs.Group(figure_specs.RETINA, model, initializations.RANDOM)

  def count():
    run = study.seeds(group)[0]
    return statistics.Summary(run.result['trainable_parameters'], np.nan, 0)

  paper = published_values.table('table1', model, '', '', 'parameters')
  return Score.made(count, paper, unit=1, digits=0)


def _accuracy(study, model):
  paper = published_values.table('table1', model, 'random', '', 'top5')
  if model in study.scale.weights:
    return Score(None, paper, _PERCENT, missing='published weights')
  return Score.made(
    lambda: statistics.Summary.of(study.accuracies(model)), paper, _PERCENT
  )


def _similar(study, model, start, of, layer):
  return Score.made(
    lambda: statistics.Summary.of(study.layers(of[start])[layer]),
    published_values.table('table5', model, start.name, 0, layer),
    digits=3,
  )


def _similarity_gap(study, model, of, layer):
  return Difference.made(
    lambda: statistics.contrast(
      (1, -1),
      [
        study.layers(of[s])[layer]
        for s in (initializations.TRANSFER, initializations.RANDOM)
      ],
    ),
    paper=published_values.table('table5', model, 'difference', 0, layer),
    digits=3,
  )


def _floor(study, of, layer):
  def floor():
    found = [study.similarity(c)[layer]['noise_floor']['mean'] for c in of]
    return statistics.Summary.of(found)

  return Score.made(floor, digits=3)

"""Tests of AUC: claims 1 to 5, 17 and 18."""

import numpy as np

from transfusion_tf.models import registry
from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import initializations as init_lib
from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper.claims import verdicts
from transfusion_tf.study import statistics

_PAIR = (-1, 1)  # The second group less the first.


def transfer_gains_nothing(study: study_lib.Study) -> verdicts.Tests:
  for model in figure_specs.ALL_MODELS:
    yield _gain(study, model, **verdicts.EQUAL)


def small_is_enough(study: study_lib.Study) -> verdicts.Tests:
  for model in figure_specs.CBR:
    groups = figure_specs.make_groups(
      figure_specs.RETINA, ['resnet50', model], [init_lib.RANDOM]
    )
    yield verdicts.Test(
      f'{registry.label(model)} minus ResNet-50 from random weights, test AUC',
      study.difference(_PAIR, groups),
      above=-verdicts.POINT,
    )


def accuracy_predicts_nothing(study: study_lib.Study) -> verdicts.Tests:
  """Yield the test, without published weights: one network has no variance."""
  models = [m for m in figure_specs.ALL_MODELS if m not in study.scale.weights]
  groups = figure_specs.make_groups(
    figure_specs.RETINA, models, [init_lib.TRANSFER]
  )
  accuracies = [study.accuracies(model) for model in models]
  aucs = [study.test(group) for group in groups]

  def explained(samples):
    means = np.array([np.mean(sample) for sample in samples])
    return statistics.r_squared(*np.split(means, 2))

  estimate = statistics.jackknife(explained, [*accuracies, *aucs])
  # The accuracy of pretraining that was made once has no variance of its own.
  yield verdicts.Test(
    f'R² of {study.scale.accuracy} accuracy and test AUC over networks',
    estimate,
    below=verdicts.HALF,
  )


def small_data_helps_large_only(study: study_lib.Study) -> verdicts.Tests:
  large, *small = figure_specs.SMALL_DATA_MODELS
  yield _gain(study, large, 5_000, above=0)
  for model in small:
    yield _gain(study, model, 5_000, below=verdicts.POINT)
    groups = figure_specs.make_groups(
      figure_specs.RETINA, [large, model], figure_specs.BOTH, 5_000
    )
    yield verdicts.Test(
      f'gain of ResNet-50 minus gain of {registry.label(model)}, test AUC',
      study.difference([-1, 1, 1, -1], groups),
      above=0,
    )


def closed_by_50k(study: study_lib.Study) -> verdicts.Tests:
  yield _gain(study, 'resnet50', 50_000, **verdicts.EQUAL)


def fixed_pretrained_features(study: study_lib.Study) -> verdicts.Tests:
  first, second = (
    study.scale.datasets[figure_specs.FIXED[figure]].label
    for figure in ('figure12', 'figure13')
  )
  retina, chexpert = (
    study.difference(*_fixed_gap(study, figure, 'random', 'transfused'))
    for figure in ('figure12', 'figure13')
  )
  yield verdicts.Test(
    f'fixed pretrained minus fixed random features, {first}, test AUC',
    retina,
    above=0,
  )
  yield verdicts.Test(
    f'the same, {second} minus half of {first}',
    statistics.minus(chexpert, retina.scaled(0.5)),
    below=0,
  )


def no_co_adaptation(study: study_lib.Study) -> verdicts.Tests:
  for model in study.scale.fixed['figure12']:
    yield verdicts.Test(
      'random minus pretrained weights above fixed pretrained ones, '
      f'{registry.label(model)}, test AUC',
      study.difference(
        *_fixed_gap(study, 'figure12', 'imagenet', 'transfused', [model])
      ),
      above=-verdicts.POINT,
    )


def _gain(study, model, images=0, **ends):
  amount = f' with the data of {images // 1000}k images' if images else ''
  groups = figure_specs.retina(model, *figure_specs.BOTH, images=images)
  return verdicts.Test(
    f'transfer minus random, {registry.label(model)}{amount}, test AUC',
    study.difference(_PAIR, groups),
    **ends,
  )


def _fixed_gap(study, figure, base, kind, models=None):
  """Return `kind` minus `base`, over networks and stages where they differ."""
  pairs = [
    pair
    for model in models or study.scale.fixed[figure]
    for fixed in [figure_specs.fixed(figure, model)]
    for pair in zip(fixed[base], fixed[kind], strict=True)
    if pair[0] != pair[1]
  ]
  weight = 1 / len(pairs)
  return [-weight, weight] * len(pairs), [g for pair in pairs for g in pair]

"""Tests of AUC: claims 1 to 5, 17 and 18."""

import numpy as np

from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import initializations as init_lib
from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper.claims import verdicts
from transfusion_tf.study import statistics


def transfer_gains_nothing(study: study_lib.Study) -> verdicts.Tests:
  yield verdicts.Test(
    'transfer minus random, mean over networks, test AUC',
    study.difference(*_gains(figure_specs.ALL_MODELS)),
    **verdicts.EQUAL,
  )


def small_is_enough(study: study_lib.Study) -> verdicts.Tests:
  models = ('resnet50', *figure_specs.CBR)
  weight = 1 / len(figure_specs.CBR)
  yield verdicts.Test(
    'CBR networks minus ResNet-50, both from random weights, test AUC',
    study.difference(
      [-1, *[weight] * len(figure_specs.CBR)],
      [g for m in models for g in figure_specs.retina(m, init_lib.RANDOM)],
    ),
    above=-verdicts.POINT,
  )


def accuracy_predicts_nothing(study: study_lib.Study) -> verdicts.Tests:
  """Yield the test; networks of published weights are left out."""
  accuracies, aucs = [], []
  for model in figure_specs.ALL_MODELS:
    if model in study.scale.weights:
      continue
    accuracies.append(float(np.mean(study.accuracies(model))))
    (medical,) = figure_specs.retina(model, init_lib.TRANSFER)
    aucs.append(float(np.mean(study.test(medical))))
  yield verdicts.Test(
    'test AUC gained from the worst to the best ImageNet accuracy, along '
    'the line through all networks',
    statistics.slope(accuracies, aucs).scaled(np.ptp(accuracies)),
    **verdicts.EQUAL,
  )


def small_data_helps_large_only(study: study_lib.Study) -> verdicts.Tests:
  large, *small = figure_specs.SMALL_DATA_MODELS
  signs, of_large = _gains([large], 5_000)
  others, of_small = _gains(small, 5_000)
  yield verdicts.Test(
    'gain of ResNet-50 minus mean gain of CBR-LargeT and LargeW, test AUC',
    study.difference([*signs, *(-s for s in others)], [*of_large, *of_small]),
    above=0,
  )


def closed_by_50k(study: study_lib.Study) -> verdicts.Tests:
  yield verdicts.Test(
    'transfer minus random with the data of 50k images, test AUC',
    study.difference(*_gains(['resnet50'], 50_000)),
    **verdicts.EQUAL,
  )


def fixed_pretrained_features(study: study_lib.Study) -> verdicts.Tests:
  retina, chexpert = (
    study.difference(*_fixed_gap(study, figure, 'random', 'transfused'))
    for figure in ('figure12', 'figure13')
  )
  yield verdicts.Test(
    'fixed pretrained minus fixed random features, RETINA, test AUC',
    retina,
    above=0,
  )
  yield verdicts.Test(
    'the same, RETINA minus CheXpert', _minus(retina, chexpert), above=0
  )


def no_co_adaptation(study: study_lib.Study) -> verdicts.Tests:
  yield verdicts.Test(
    'random minus pretrained weights above fixed pretrained ones, test AUC',
    study.difference(*_fixed_gap(study, 'figure12', 'imagenet', 'transfused')),
    above=-verdicts.POINT,
  )


def _gains(models, images=0):
  """Return coefficients and groups of transfer minus random, over models."""
  groups = figure_specs.make_groups(
    figure_specs.RETINA, models, figure_specs.BOTH, images
  )
  return [-1 / len(models), 1 / len(models)] * len(models), groups


def _fixed_gap(study, figure, base, kind):
  """Return `kind` minus `base`, over networks and stages where they differ."""
  pairs = [
    pair
    for model in study.scale.fixed[figure]
    for fixed in [figure_specs.fixed(figure, model)]
    for pair in zip(fixed[base], fixed[kind], strict=True)
    if pair[0] != pair[1]
  ]
  weight = 1 / len(pairs)
  return [-weight, weight] * len(pairs), [g for pair in pairs for g in pair]


def _minus(a, b):
  """Return the difference of two independent estimates."""
  half = np.hypot((a.high - a.low) / 2, (b.high - b.low) / 2)
  value = a.value - b.value
  return statistics.Estimate(value, float(value - half), float(value + half))

"""Tests of AUC: claims 1 to 5, 17 and 18."""

import numpy as np

from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import initializations
from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper.claims import groups
from transfusion_tf.paper.claims import verdicts
from transfusion_tf.study import statistics

_EQUAL = {'above': -verdicts.POINT, 'below': verdicts.POINT}


def transfer_gains_nothing(study: study_lib.Study) -> list[verdicts.Test]:
  return [
    verdicts.Test(
      'transfer minus random, mean over networks, test AUC',
      study.difference(*groups.gains(figure_specs.ALL_MODELS)),
      **_EQUAL,
    )
  ]


def small_is_enough(study: study_lib.Study) -> list[verdicts.Test]:
  models = (groups.RESNET, *figure_specs.CBR)
  share = 1 / len(figure_specs.CBR)
  return [
    verdicts.Test(
      'CBR networks minus ResNet-50, both from random weights, test AUC',
      study.difference(
        [-1, *[share] * len(figure_specs.CBR)],
        [g for m in models for g in groups.retina(m, initializations.RANDOM)],
      ),
      above=-verdicts.POINT,
    )
  ]


def accuracy_predicts_nothing(study: study_lib.Study) -> list[verdicts.Test]:
  """Return the test; networks of published weights are left out."""
  accuracies, aucs = [], []
  for model in figure_specs.ALL_MODELS:
    if model in study.scale.weights:
      continue
    accuracies.append(np.mean(study.accuracies(model)))
    (medical,) = groups.retina(model, initializations.TRANSFER)
    aucs.append(np.mean(study.test(medical)))
  return [
    verdicts.Test(
      'test AUC gained from the worst to the best ImageNet accuracy, along '
      'the line through all networks',
      statistics.slope(accuracies, aucs).scaled(np.ptp(accuracies)),
      **_EQUAL,
    )
  ]


def small_data_helps_large_only(study: study_lib.Study) -> list[verdicts.Test]:
  large, *small = figure_specs.SMALL_DATA_MODELS
  signs, of_large = groups.gains([large], 5_000)
  others, of_small = groups.gains(small, 5_000)
  return [
    verdicts.Test(
      'gain of ResNet-50 minus mean gain of CBR-LargeT and LargeW, test AUC',
      study.difference([*signs, *(-s for s in others)], [*of_large, *of_small]),
      above=0,
    )
  ]


def closed_by_50k(study: study_lib.Study) -> list[verdicts.Test]:
  return [
    verdicts.Test(
      'transfer minus random with the data of 50k images, test AUC',
      study.difference(*groups.gains([groups.RESNET], 50_000)),
      **_EQUAL,
    )
  ]


def fixed_pretrained_features(study: study_lib.Study) -> list[verdicts.Test]:
  retina, chexpert = (
    study.difference(*_fixed_gap(study, figure, 'random', 'transfused'))
    for figure in ('figure12', 'figure13')
  )
  return [
    verdicts.Test(
      'fixed pretrained minus fixed random features, RETINA, test AUC',
      retina,
      above=0,
    ),
    verdicts.Test(
      'the same, RETINA minus CheXpert', _minus(retina, chexpert), above=0
    ),
  ]


def no_co_adaptation(study: study_lib.Study) -> list[verdicts.Test]:
  return [
    verdicts.Test(
      'random minus pretrained weights above fixed pretrained ones, test AUC',
      study.difference(
        *_fixed_gap(study, 'figure12', 'imagenet', 'transfused')
      ),
      above=-verdicts.POINT,
    )
  ]


def _fixed_gap(study, figure, base, kind):
  """`kind` minus `base`, mean over networks and stages where they differ."""
  dataset = {
    'figure12': figure_specs.RETINA,
    'figure13': figure_specs.CHEXPERT,
  }[figure]
  pairs = [
    pair
    for model in study.scale.fixed[figure]
    for fixed in [figure_specs.fixed(dataset, model)]
    for pair in zip(fixed[base], fixed[kind], strict=True)
    if pair[0] != pair[1]
  ]
  share = 1 / len(pairs)
  return [-share, share] * len(pairs), [g for pair in pairs for g in pair]


def _minus(a, b):
  """Return the difference of two independent estimates."""
  half = np.hypot((a.high - a.low) / 2, (b.high - b.low) / 2)
  value = a.value - b.value
  return statistics.Estimate(value, float(value - half), float(value + half))

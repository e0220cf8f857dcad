"""Tests of AUC: claims 1 to 5, 17 and 18."""

import numpy as np

from transfusion_tf.paper import contents
from transfusion_tf.paper import starts
from transfusion_tf.paper import statistics
from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper.claims import groups
from transfusion_tf.paper.claims import judging

_EQUAL = {'above': -judging.POINT, 'below': judging.POINT}


def transfer_gains_nothing(study: study_lib.Study) -> list[judging.Test]:
  return [
    judging.Test(
      'transfer minus random, mean over networks, test AUC',
      study.difference(*groups.gains(contents.ALL_MODELS)),
      **_EQUAL,
    )
  ]


def small_is_enough(study: study_lib.Study) -> list[judging.Test]:
  models = (groups.RESNET, *contents.CBR)
  share = 1 / len(contents.CBR)
  return [
    judging.Test(
      'CBR networks minus ResNet-50, both from random weights, test AUC',
      study.difference(
        [-1, *[share] * len(contents.CBR)],
        [g for m in models for g in groups.retina(m, starts.RANDOM)],
      ),
      above=-judging.POINT,
    )
  ]


def accuracy_predicts_nothing(study: study_lib.Study) -> list[judging.Test]:
  """The published weights' accuracy is not ours, so their network is out."""
  accuracies, aucs = [], []
  for model in contents.ALL_MODELS:
    if model in study.scale.weights:
      continue
    accuracies.append(np.mean(study.accuracies(model)))
    (medical,) = groups.retina(model, starts.TRANSFER)
    aucs.append(np.mean(study.test(medical)))
  return [
    judging.Test(
      'test AUC gained from the worst to the best ImageNet accuracy, along '
      'the line through all networks',
      statistics.slope(accuracies, aucs).scaled(np.ptp(accuracies)),
      **_EQUAL,
    )
  ]


def small_data_helps_large_only(study: study_lib.Study) -> list[judging.Test]:
  large, *small = contents.SMALL_DATA_MODELS
  signs, of_large = groups.gains([large], 5_000)
  others, of_small = groups.gains(small, 5_000)
  return [
    judging.Test(
      'gain of ResNet-50 minus mean gain of CBR-LargeT and LargeW, test AUC',
      study.difference([*signs, *(-s for s in others)], [*of_large, *of_small]),
      above=0,
    )
  ]


def closed_by_50k(study: study_lib.Study) -> list[judging.Test]:
  return [
    judging.Test(
      'transfer minus random with the data of 50k images, test AUC',
      study.difference(*groups.gains([groups.RESNET], 50_000)),
      **_EQUAL,
    )
  ]


def fixed_pretrained_features(study: study_lib.Study) -> list[judging.Test]:
  retina, chexpert = (
    study.difference(*_fixed_gap(study, figure, 'random', 'transfused'))
    for figure in ('figure12', 'figure13')
  )
  return [
    judging.Test(
      'fixed pretrained minus fixed random features, RETINA, test AUC',
      retina,
      above=0,
    ),
    judging.Test(
      'the same, RETINA minus CheXpert', _minus(retina, chexpert), above=0
    ),
  ]


def no_co_adaptation(study: study_lib.Study) -> list[judging.Test]:
  return [
    judging.Test(
      'random minus pretrained weights above fixed pretrained ones, test AUC',
      study.difference(
        *_fixed_gap(study, 'figure12', 'imagenet', 'transfused')
      ),
      above=-judging.POINT,
    )
  ]


def _fixed_gap(study, figure, base, kind):
  """`kind` minus `base`, mean over networks and stages where they differ."""
  dataset = {'figure12': contents.RETINA, 'figure13': contents.CHEXPERT}[figure]
  pairs = [
    pair
    for model in study.scale.fixed[figure]
    for fixed in [contents.fixed(dataset, model)]
    for pair in zip(fixed[base], fixed[kind], strict=True)
    if pair[0] != pair[1]
  ]
  share = 1 / len(pairs)
  return [-share, share] * len(pairs), [g for pair in pairs for g in pair]


def _minus(a, b):
  """The difference of two independent estimates."""
  half = np.hypot((a.high - a.low) / 2, (b.high - b.low) / 2)
  value = a.value - b.value
  return statistics.Estimate(value, float(value - half), float(value + half))

"""Tests of similarities and filters: claims 6 to 10."""

import itertools

import numpy as np

from transfusion_tf.paper import cca_pairs
from transfusion_tf.paper import cca_results
from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import gabor_energy
from transfusion_tf.paper import initializations
from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper.claims import groups
from transfusion_tf.paper.claims import verdicts
from transfusion_tf.study import first_layer
from transfusion_tf.study import statistics

LARGE = ('resnet50', 'inception_v3')
_ENDS = (0, 1, -2, -1)  # The two lowest and the two highest stages.


def pretrained_differ_if_large(study: study_lib.Study) -> list[verdicts.Test]:
  def gap(models, sign):
    found = [cca_results.trained(study, model) for model in models]
    share = sign / len(models)
    return [share, -share] * len(models), [
      of[kind] for of in found for kind in ('random', 'across')
    ]

  signs, large = gap(LARGE, 1)
  others, small = gap(figure_specs.CBR, -1)
  return [
    verdicts.Test(
      'CCA of two random starts minus CCA across starts, large networks',
      statistics.contrast(signs, large),
      above=0,
    ),
    verdicts.Test(
      'the same, large minus CBR networks',
      statistics.contrast([*signs, *others], [*large, *small]),
      above=0,
    ),
  ]


def large_move_less(study: study_lib.Study) -> list[verdicts.Test]:
  moved = {
    model: list(
      cca_results.movement(study, model, initializations.RANDOM).values()
    )
    for model in figure_specs.CCA_MODELS
  }
  lowest, *_, highest = moved[groups.RESNET]
  return [
    verdicts.Test(
      'CCA before and after from random weights, ResNet-50 minus CBR-Small',
      statistics.contrast(
        [1, -1], [np.mean(of, axis=0) for of in moved.values()]
      ),
      above=0,
    ),
    verdicts.Test(
      'the same, highest minus lowest stage of ResNet-50',
      statistics.contrast([1, -1], [highest, lowest]),
      below=0,
    ),
  ]


def start_outlasts_in_conv1(study: study_lib.Study) -> list[verdicts.Test]:
  conv1, *elsewhere = (
    list(
      itertools.chain(
        *(
          cca_results.correlations(study, model, pair, stage)
          for pair in cca_results.PAIRS
        )
      )
    )
    for model in figure_specs.CCA_MODELS
    for stage in cca_results.shown_stages(model)
  )
  share = 1 / len(elsewhere)
  return [
    verdicts.Test(
      'R² of conv1 of ResNet-50 minus mean R² elsewhere',
      statistics.contrast([1, *[-share] * len(elsewhere)], [conv1, *elsewhere]),
      above=0,
    )
  ]


def reuse_is_low(study: study_lib.Study) -> list[verdicts.Test]:
  samples = []
  for start in (initializations.TRANSFER, initializations.RANDOM):
    of = cca_pairs.same_start(study.scale, groups.RESNET, start)
    stages = list(study.layers(of).values())
    samples += [stages[end] for end in _ENDS]
  coefficients = np.outer([1, -1], [0.5, 0.5, -0.5, -0.5]).ravel()
  return [
    verdicts.Test(
      'CCA of two pretrained minus two random starts, the two lowest minus '
      'the two highest stages of ResNet-50',
      statistics.contrast(coefficients, samples),
      above=0,
    )
  ]


def small_erases_gabors(study: study_lib.Study) -> list[verdicts.Test]:
  def change(start):
    (group,) = groups.retina('cbr_small', start)
    return [
      gabor_energy.mean(run.conv1[first_layer.AFTER])
      - gabor_energy.mean(run.conv1[first_layer.BEFORE])
      for run in study.seeds(group)
    ]

  return [
    verdicts.Test(
      'Gabor-likeness of conv1 of CBR-Small, after minus before, random start',
      statistics.contrast([1], [change(initializations.RANDOM)]),
      below=gabor_energy.NOTABLE,
    ),
    verdicts.Test(
      'the same, pretrained start',
      statistics.contrast([1], [change(initializations.TRANSFER)]),
      below=0,
    ),
  ]

"""Tests of similarities and filters: claims 6 to 10."""

import numpy as np

from transfusion_tf.paper import cca_pairs
from transfusion_tf.paper import cca_results
from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import gabor_energy
from transfusion_tf.paper import initializations as init_lib
from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper.claims import verdicts
from transfusion_tf.study import first_layer
from transfusion_tf.study import statistics

LARGE = ('resnet50', 'inception_v3')
_ENDS = (0, 1, -2, -1)  # The two lowest and the two highest stages.


def pretrained_differ_if_large(study: study_lib.Study) -> verdicts.Tests:
  def gap(models, sign):
    weight = sign / len(models)
    return [weight, -weight] * len(models), [
      similarities
      for model in models
      for similarities in cca_results.trained(study, model).values()
    ]

  signs, large = gap(LARGE, 1)
  others, small = gap(figure_specs.CBR, -1)
  yield verdicts.Test(
    'CCA of two random starts minus CCA across starts, large networks',
    statistics.contrast(signs, large),
    above=0,
  )
  yield verdicts.Test(
    'the same, large minus CBR networks',
    statistics.contrast([*signs, *others], [*large, *small]),
    above=0,
  )


def large_move_less(study: study_lib.Study) -> verdicts.Tests:
  large, small = (
    list(study.layers(pairs).values())
    for pairs in (
      cca_pairs.movement(study.scale, model, init_lib.RANDOM)
      for model in figure_specs.CCA_MODELS
    )
  )
  yield verdicts.Test(
    'CCA before and after from random weights, ResNet-50 minus CBR-Small',
    statistics.contrast(
      [1, -1], [np.mean(large, axis=0), np.mean(small, axis=0)]
    ),
    above=0,
  )
  yield verdicts.Test(
    'the same, highest minus lowest stage of ResNet-50',
    statistics.contrast([1, -1], [large[-1], large[0]]),
    below=0,
  )


def initialization_outlasts_in_conv1(study: study_lib.Study) -> verdicts.Tests:
  conv1, *elsewhere = (
    [
      r_squared
      for kind in cca_pairs.KINDS
      for r_squared in cca_results.correlations(study, model, kind, stage)
    ]
    for model in figure_specs.CCA_MODELS
    for stage in cca_results.shown_stages(model)
  )
  weight = 1 / len(elsewhere)
  yield verdicts.Test(
    'R² of conv1 of ResNet-50 minus mean R² elsewhere',
    statistics.contrast([1, *[-weight] * len(elsewhere)], [conv1, *elsewhere]),
    above=0,
  )


def reuse_is_low(study: study_lib.Study) -> verdicts.Tests:
  samples = []
  for init in (init_lib.TRANSFER, init_lib.RANDOM):
    pairs = cca_pairs.same(study.scale, 'resnet50', init)
    stages = list(study.layers(pairs).values())
    samples += [stages[end] for end in _ENDS]
  coefficients = np.outer([1, -1], [0.5, 0.5, -0.5, -0.5]).ravel()
  yield verdicts.Test(
    'CCA of two pretrained minus two random starts, the two lowest minus '
    'the two highest stages of ResNet-50',
    statistics.contrast(coefficients, samples),
    above=0,
  )


def small_erases_gabors(study: study_lib.Study) -> verdicts.Tests:
  def change(init):
    (group,) = figure_specs.retina('cbr_small', init)
    return [
      gabor_energy.mean(run.conv1[first_layer.AFTER])
      - gabor_energy.mean(run.conv1[first_layer.BEFORE])
      for run in study.seeds(group)
    ]

  yield verdicts.Test(
    'Gabor-likeness of conv1 of CBR-Small, after minus before, random start',
    statistics.contrast([1], [change(init_lib.RANDOM)]),
    below=gabor_energy.NOTABLE,
  )
  yield verdicts.Test(
    'the same, pretrained start',
    statistics.contrast([1], [change(init_lib.TRANSFER)]),
    below=0,
  )

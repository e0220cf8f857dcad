"""Tests of similarities and filters: claims 6 to 10."""

import math

import numpy as np

from transfusion_tf.models import registry
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
# CCA that differs by less is alike; Table 5's differences begin at .04.
_NOTABLE = 0.05


def pretrained_differ_if_large(study: study_lib.Study) -> verdicts.Tests:
  for model in (*LARGE, *figure_specs.CBR):
    random, across = (
      cca_pairs.of_kind(study.scale, model, kind) for kind in cca_pairs.KINDS
    )
    is_large = model in LARGE
    yield verdicts.Test(
      'CCA of two random starts minus CCA across starts, '
      f'{registry.label(model)}',
      study.similarities([(1, random), (-1, across)], cca_results.top),
      above=0 if is_large else -math.inf,
      below=math.inf if is_large else _NOTABLE,
    )


def large_move_less(study: study_lib.Study) -> verdicts.Tests:
  large, small = (
    cca_pairs.movement(study.scale, model, init_lib.RANDOM)
    for model in figure_specs.CCA_MODELS
  )

  def above_floor(similarity, stage):
    layer = list(similarity.values())[stage]
    floor = layer['noise_floor']['mean']
    return (layer['mean'] - floor) / (1 - floor)

  yield verdicts.Test(
    'CCA before and after from random weights, as a fraction of the way from '
    'the noise floor to 1: lowest stage of ResNet-50 minus that of CBR-Small',
    study.similarities(
      [(1, large), (-1, small)], lambda layers: above_floor(layers, 0)
    ),
    above=0,
  )
  yield verdicts.Test(
    'the same, lowest minus highest stage of ResNet-50',
    study.similarities(
      [(1, large)], lambda x: above_floor(x, 0) - above_floor(x, -1)
    ),
    above=0,
  )


def initialization_outlasts_in_conv1(study: study_lib.Study) -> verdicts.Tests:
  first, *_ = figure_specs.CCA_MODELS
  for model in figure_specs.CCA_MODELS:
    lowest, highest = cca_results.shown_stages(model)
    for stage in (lowest, highest):
      is_conv1 = (model, stage) == (first, lowest)
      yield verdicts.Test(
        'R² of similarity before and after training, '
        f'{registry.label(model)} {stage}',
        cca_results.explained(study, model, stage),
        above=verdicts.HALF if is_conv1 else -math.inf,
        below=math.inf if is_conv1 else verdicts.HALF,
      )


def reuse_is_low(study: study_lib.Study) -> verdicts.Tests:
  random, transfer = (
    cca_pairs.same(study.scale, 'resnet50', init) for init in figure_specs.BOTH
  )

  def gap(*weights):
    return study.similarities(
      [(1, transfer), (-1, random)],
      lambda layers: float(
        np.dot(weights, [layer['mean'] for layer in layers.values()])
      ),
    )

  name = 'CCA of two pretrained minus two random starts of ResNet-50'
  yield verdicts.Test(f'{name}, conv1', gap(1, 0, 0, 0, 0), above=0)
  yield verdicts.Test(f'{name}, block1', gap(0, 1, 0, 0, 0), above=0)
  yield verdicts.Test(
    f'{name}, the two highest stages less half of the two lowest',
    gap(-0.25, -0.25, 0, 0.5, 0.5),
    below=0,
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

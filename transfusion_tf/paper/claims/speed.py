"""Tests of speed: claims 11 to 16 and 19."""

import itertools

import numpy as np

from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import initializations
from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper.claims import groups
from transfusion_tf.paper.claims import verdicts
from transfusion_tf.study import statistics

_EQUAL = {'above': -verdicts.POINT, 'below': verdicts.POINT}


def mean_var_is_faster(study: study_lib.Study) -> list[verdicts.Test]:
  tests = []
  for panel in figure_specs.panels('figure6', study.scale):
    random, mean_var, _ = panel.groups
    tests.append(
      verdicts.Test(
        f'Mean Var minus random, {random.dataset} {random.model}, speed',
        groups.speed(study, [-1, 1], [random, mean_var], panel.metric),
        above=0,
      )
    )
  return tests


def conv1_gains_most(study: study_lib.Study) -> list[verdicts.Test]:
  (panel,) = figure_specs.panels('figure7', study.scale)
  areas = study.areas(panel.groups)
  gains = np.diff([np.mean(of) for of in areas])
  rival = 1 + int(np.argmax(gains[1:]))
  coefficients = np.zeros(len(areas))
  np.add.at(coefficients, [0, 1, rival, rival + 1], [-1, 1, 1, -1])
  return [
    verdicts.Test(
      'gain by conv1 minus the largest gain by another stage, speed',
      statistics.contrast(coefficients, areas),
      above=0,
    )
  ]


def slim_is_enough(study: study_lib.Study) -> list[verdicts.Test]:
  both = groups.retina(
    groups.RESNET, initializations.TRANSFER, initializations.SLIM
  )
  return [
    verdicts.Test(
      'slim hybrid minus transfer, test AUC',
      study.difference([-1, 1], both),
      above=-verdicts.POINT,
    ),
    verdicts.Test(
      'slim hybrid minus transfer, speed',
      groups.speed(study, [-1, 1], both),
      above=-verdicts.POINT,
    ),
  ]


def gabors_are_enough(study: study_lib.Study) -> list[verdicts.Test]:
  return [
    verdicts.Test(
      f'Gabor minus pretrained conv1, {model}, speed',
      groups.speed(
        study,
        [-1, 1],
        groups.retina(
          model, initializations.up_to(model, 'conv1'), initializations.GABOR
        ),
      ),
      **_EQUAL,
    )
    for model in figure_specs.HYBRIDS
  ]


def identity_is_best(study: study_lib.Study) -> list[verdicts.Test]:
  of = groups.retina(study.scale.probe, *figure_specs.BATCH_NORMS)
  return [
    verdicts.Test(
      'identity minus the mean of resampled and copied batch norm, speed',
      groups.speed(study, [1, -0.5, -0.5], of),
      above=-verdicts.POINT,
    )
  ]


def resamplings_are_alike(study: study_lib.Study) -> list[verdicts.Test]:
  of = groups.retina(study.scale.probe, *figure_specs.RESAMPLINGS)
  areas = study.areas(of)
  return [
    verdicts.Test(
      f'{of[i].start.label} minus {of[j].start.label}, speed',
      statistics.contrast([1, -1], [areas[i], areas[j]]),
      **_EQUAL,
    )
    for i, j in itertools.combinations(range(len(of)), 2)
  ]


def random_slim_is_slower(study: study_lib.Study) -> list[verdicts.Test]:
  of = groups.retina(
    groups.RESNET, initializations.SLIM_RANDOM, initializations.SLIM
  )
  return [
    verdicts.Test(
      'slim hybrid minus slim network from random weights, speed',
      groups.speed(study, [-1, 1], of),
      above=0,
    )
  ]

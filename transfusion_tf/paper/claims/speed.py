"""Tests of speed: claims 11 to 16 and 19."""

import itertools

import numpy as np

from transfusion_tf.paper import contents
from transfusion_tf.paper import starts
from transfusion_tf.paper import statistics
from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper.claims import groups
from transfusion_tf.paper.claims import judging

_EQUAL = {'above': -judging.POINT, 'below': judging.POINT}


def mean_var_is_faster(study: study_lib.Study) -> list[judging.Test]:
  tests = []
  for panel in contents.panels('figure6', study.scale):
    random, mean_var, _ = panel.groups
    tests.append(
      judging.Test(
        f'Mean Var minus random, {random.dataset} {random.model}, speed',
        groups.speed(study, [-1, 1], [random, mean_var], panel.metric),
        above=0,
      )
    )
  return tests


def conv1_gains_most(study: study_lib.Study) -> list[judging.Test]:
  (panel,) = contents.panels('figure7', study.scale)
  areas = study.areas(panel.groups)
  gains = np.diff([np.mean(of) for of in areas])
  rival = 1 + int(np.argmax(gains[1:]))
  coefficients = np.zeros(len(areas))
  np.add.at(coefficients, [0, 1, rival, rival + 1], [-1, 1, 1, -1])
  return [
    judging.Test(
      'gain by conv1 minus the largest gain by another stage, speed',
      statistics.contrast(coefficients, areas),
      above=0,
    )
  ]


def slim_is_enough(study: study_lib.Study) -> list[judging.Test]:
  both = groups.retina(groups.RESNET, starts.TRANSFER, starts.SLIM)
  return [
    judging.Test(
      'slim hybrid minus transfer, test AUC',
      study.difference([-1, 1], both),
      above=-judging.POINT,
    ),
    judging.Test(
      'slim hybrid minus transfer, speed',
      groups.speed(study, [-1, 1], both),
      above=-judging.POINT,
    ),
  ]


def gabors_are_enough(study: study_lib.Study) -> list[judging.Test]:
  return [
    judging.Test(
      f'Gabor minus pretrained conv1, {model}, speed',
      groups.speed(
        study,
        [-1, 1],
        groups.retina(model, starts.upto(model, 'conv1'), starts.GABOR),
      ),
      **_EQUAL,
    )
    for model in contents.HYBRIDS
  ]


def identity_is_best(study: study_lib.Study) -> list[judging.Test]:
  of = groups.retina(study.scale.probe, *contents.BATCH_NORMS)
  return [
    judging.Test(
      'identity minus the mean of resampled and copied batch norm, speed',
      groups.speed(study, [1, -0.5, -0.5], of),
      above=-judging.POINT,
    )
  ]


def resamplings_are_alike(study: study_lib.Study) -> list[judging.Test]:
  of = groups.retina(study.scale.probe, *contents.RESAMPLINGS)
  areas = study.areas(of)
  return [
    judging.Test(
      f'{of[i].start.label} minus {of[j].start.label}, speed',
      statistics.contrast([1, -1], [areas[i], areas[j]]),
      **_EQUAL,
    )
    for i, j in itertools.combinations(range(len(of)), 2)
  ]


def random_slim_is_slower(study: study_lib.Study) -> list[judging.Test]:
  of = groups.retina(groups.RESNET, starts.SLIM_RANDOM, starts.SLIM)
  return [
    judging.Test(
      'slim hybrid minus slim network from random weights, speed',
      groups.speed(study, [-1, 1], of),
      above=0,
    )
  ]

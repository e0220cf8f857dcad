"""Tests of speed: claims 11 to 16 and 19."""

import itertools

import numpy as np

from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import initializations as init_lib
from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper.claims import verdicts
from transfusion_tf.study import statistics


def mean_var_is_faster(study: study_lib.Study) -> verdicts.Tests:
  for panel in figure_specs.PANELS['figure6'](study.scale):
    random, mean_var, _ = panel.groups
    yield verdicts.Test(
      f'Mean Var minus random, {random.dataset} {random.model}, speed',
      _speed(study, [-1, 1], [random, mean_var], panel.metric),
      above=0,
    )


def conv1_gains_most(study: study_lib.Study) -> verdicts.Tests:
  (panel,) = figure_specs.PANELS['figure7'](study.scale)
  areas = study.areas(panel.groups)
  gains = np.diff([np.mean(seeds) for seeds in areas])
  rival = 1 + int(np.argmax(gains[1:]))
  coefficients = np.zeros(len(areas))
  np.add.at(coefficients, [0, 1, rival, rival + 1], [-1, 1, 1, -1])
  yield verdicts.Test(
    'gain by conv1 minus the largest gain by another stage, speed',
    statistics.contrast(coefficients, areas),
    above=0,
  )


def slim_is_enough(study: study_lib.Study) -> verdicts.Tests:
  both = figure_specs.retina('resnet50', init_lib.TRANSFER, init_lib.SLIM)
  yield verdicts.Test(
    'slim hybrid minus transfer, test AUC',
    study.difference([-1, 1], both),
    above=-verdicts.POINT,
  )
  yield verdicts.Test(
    'slim hybrid minus transfer, speed',
    _speed(study, [-1, 1], both),
    above=-verdicts.POINT,
  )


def gabors_are_enough(study: study_lib.Study) -> verdicts.Tests:
  for model in figure_specs.HYBRIDS:
    yield verdicts.Test(
      f'Gabor minus pretrained conv1, {model}, speed',
      _speed(
        study,
        [-1, 1],
        figure_specs.retina(
          model, init_lib.up_to(model, 'conv1'), init_lib.GABOR
        ),
      ),
      **verdicts.EQUAL,
    )


def identity_is_best(study: study_lib.Study) -> verdicts.Tests:
  groups = figure_specs.retina(
    study.scale.ablation_model, *figure_specs.BATCH_NORMS
  )
  yield verdicts.Test(
    'identity minus the mean of resampled and copied batch norm, speed',
    _speed(study, [1, -0.5, -0.5], groups),
    above=-verdicts.POINT,
  )


def resamplings_are_alike(study: study_lib.Study) -> verdicts.Tests:
  groups = figure_specs.retina(
    study.scale.ablation_model, *figure_specs.RESAMPLINGS
  )
  areas = study.areas(groups)
  labels = [group.initialization.label for group in groups]
  for i, j in itertools.combinations(range(len(groups)), 2):
    yield verdicts.Test(
      f'{labels[i]} minus {labels[j]}, speed',
      statistics.contrast([1, -1], [areas[i], areas[j]]),
      **verdicts.EQUAL,
    )


def random_slim_is_slower(study: study_lib.Study) -> verdicts.Tests:
  groups = figure_specs.retina('resnet50', init_lib.SLIM_RANDOM, init_lib.SLIM)
  yield verdicts.Test(
    'slim hybrid minus slim network from random weights, speed',
    _speed(study, [-1, 1], groups),
    above=0,
  )


def _speed(study, coefficients, groups, metric=None):
  """Return a sum of groups' mean validation AUCs over training."""
  return statistics.contrast(coefficients, study.areas(groups, metric))

"""Tests of speed: claims 11 to 16 and 19.

Speed is the ratio of the training steps to a common score.
"""

import itertools
import math

from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import initializations as init_lib
from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper.claims import verdicts

# Between these ratios one is as fast as the other: the paper calls curves alike
# that differ by less, and says of none by how much.
_SLOWER = math.log(1.25)
_ALIKE = {'above': -_SLOWER, 'below': _SLOWER}


def mean_var_is_faster(study: study_lib.Study) -> verdicts.Tests:
  for panel in figure_specs.PANELS['figure6'](study.scale):
    random, mean_var, _ = panel.groups
    yield _speed(
      study,
      f'Mean Var / random, {study.scale.datasets[random.dataset].name} '
      f'{random.model}',
      [random, mean_var],
      panel.metric,
      below=0,
    )


def conv1_gains_most(study: study_lib.Study) -> verdicts.Tests:
  """Yield a test against each other stage: conv1 has to beat them all."""
  (panel,) = figure_specs.PANELS['figure7'](study.scale)
  random, conv1, *_ = panel.groups
  for below, above in itertools.pairwise(panel.groups[1:]):
    yield verdicts.Test(
      f'gain by conv1 / gain by {above.initialization.label}, steps',
      study.log_steps([1, -1, -1, 1], [random, conv1, below, above]),
      above=0,
      ratio=True,
    )


def slim_is_enough(study: study_lib.Study) -> verdicts.Tests:
  both = figure_specs.retina('resnet50', init_lib.TRANSFER, init_lib.SLIM)
  yield _auc(study, 'slim hybrid minus transfer', both, above=-verdicts.POINT)
  yield _speed(study, 'slim hybrid / transfer', both, below=_SLOWER)


def gabors_are_enough(study: study_lib.Study) -> verdicts.Tests:
  for model in figure_specs.HYBRIDS:
    both = figure_specs.retina(
      model, init_lib.up_to(model, 'conv1'), init_lib.GABOR
    )
    yield _speed(study, f'Gabor / pretrained conv1, {model}', both, **_ALIKE)


def identity_is_best(study: study_lib.Study) -> verdicts.Tests:
  identity, *others = figure_specs.retina(
    study.scale.ablation_model, *figure_specs.BATCH_NORMS
  )
  for other in others:
    name, both = other.initialization.label, [other, identity]
    yield _speed(study, f'identity / {name}', both, below=_SLOWER)
    yield _auc(study, f'identity minus {name}', both, above=-verdicts.POINT)


def resamplings_are_alike(study: study_lib.Study) -> verdicts.Tests:
  groups = figure_specs.retina(
    study.scale.ablation_model, *figure_specs.RESAMPLINGS
  )
  for b, a in itertools.combinations(groups, 2):
    names = a.initialization.label, b.initialization.label
    yield _speed(study, ' / '.join(names), [b, a], **_ALIKE)
    yield _auc(study, ' minus '.join(names), [b, a], **verdicts.EQUAL)


def random_slim_is_slower(study: study_lib.Study) -> verdicts.Tests:
  groups = figure_specs.retina('resnet50', init_lib.SLIM, init_lib.SLIM_RANDOM)
  yield _speed(study, 'slim from random weights / hybrid', groups, above=0)


def _speed(study, name, groups, metric=None, **ends):
  """Return a test of the steps of the second group over the first's."""
  estimate = study.log_steps([-1, 1], groups, metric)
  return verdicts.Test(f'{name}, steps', estimate, ratio=True, **ends)


def _auc(study, name, groups, **ends):
  """Return a test of the test AUC of the second group less the first's."""
  return verdicts.Test(
    f'{name}, test AUC', study.difference([-1, 1], groups), **ends
  )

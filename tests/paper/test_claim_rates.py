"""How often claims are judged wrongly, in worlds where the truth is known."""

import collections
import dataclasses

import fabricated_study
import pytest

from transfusion_tf.paper import claims
from transfusion_tf.paper import scales
from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper.claims import verdicts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
_STUDIES = 40
_SCALE = dataclasses.replace(scales.DEMO, seeds={'default': 3})


def _separation(plan):
  """The test AUC of networks that differ in nothing."""
  del plan
  return 3.0


# Every initialization is as good, as fast and as alike as every other.
ALIKE = fabricated_study.World(
  _separation, lambda _: 0.5, lambda *_: 0.4, lambda *_: False, False
)
_TRUE_OF_ALIKE = {1, 2, 3, 5, 13, 14, 15, 16, 18}


def _large_gains(plan):
  """Half of claims 4 and 17 is true: everything gains with few images."""
  init = plan.experiment.init
  if init.freeze_upto:
    return 2.0 if init.scheme == 'random' else 3.0
  few = plan.experiment.data.subset == scales.DEMO.subsets[5_000]
  gain = 1.0 if few and init.scheme == 'transfer' else 0.0
  large = plan.experiment.model.name == 'resnet50'
  return 2.5 + gain * (1.0 if large else 0.7)


def _large_gaps(comparison, stage, count):
  """Half of claim 6 is true: pretrained networks of all sizes differ."""
  del stage, count
  across = comparison.a.initialization != comparison.b.initialization
  return 0.4 if across else 0.55


HALVES = dataclasses.replace(
  ALIKE, separation=_large_gains, similarity=_large_gaps
)


def _slow_mean_var(plan):
  """Mean Var takes twice the steps of sampling, Gabor of conv1."""
  init = plan.experiment.init
  slow = init.scheme == 'mean_var' or init.conv1 == 'gabor'
  return 1 - 0.5**0.5 if slow else 0.5


LONG = dataclasses.replace(ALIKE, speed=_slow_mean_var)
# The same runs, ended at two fifths.
LONG100 = dataclasses.replace(LONG, steps=fabricated_study.STEPS[:3])


def _verdicts(tmp_path, world, studies=_STUDIES):
  """Claim -> verdict -> how often."""
  counts = collections.defaultdict(collections.Counter)
  for seed in range(studies):
    root = tmp_path / str(seed)
    fabricated_study.write(root, _SCALE, world, seed)
    study = study_lib.Study(str(root), _SCALE)
    for judged in claims.judge_all(study):
      counts[judged.claim.number][judged.verdict] += 1
  for number, verdict in counts.items():
    print(number, dict(verdict))
  return counts


def test_of_networks_that_do_not_differ_few_verdicts_are_wrong(tmp_path):
  wrong = {
    number: counts[
      verdicts.FAILS if number in _TRUE_OF_ALIKE else verdicts.HOLDS
    ]
    for number, counts in _verdicts(tmp_path, ALIKE).items()
  }
  # Of 40 studies 2 are 5 %; 6 and more happen once in 70 times at that rate.
  assert max(wrong.values()) <= 5, wrong


def test_half_a_sentence_is_not_a_claim(tmp_path):
  counts = _verdicts(tmp_path, HALVES, 24)
  for number in (4, 6, 17):
    assert counts[number][verdicts.HOLDS] == 0, (number, counts[number])


@pytest.mark.parametrize('world', [LONG, LONG100])
def test_twice_the_steps_are_not_alike(tmp_path, world):
  counts = _verdicts(tmp_path, world, 24)
  for number in (14, 16):
    assert counts[number][verdicts.HOLDS] == 0, (number, counts[number])


def test_the_papers_effects_are_found(tmp_path):
  counts = _verdicts(tmp_path, fabricated_study.PAPERLIKE, 12)
  for number in (7, 9, 11, 19):
    assert counts[number][verdicts.HOLDS] >= 9, (number, counts[number])

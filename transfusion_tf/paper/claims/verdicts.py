"""The paper's nineteen claims, each judged by an interval; never forced.

A claim is one or more tests, each an estimate and the range that the claim
puts it in. An interval inside the range speaks for the claim, one outside
against it, one across its border for neither. And nothing is told about
networks that have not learned their task: two that guess are also "alike".
"""

from collections.abc import Callable, Sequence
import dataclasses
import math

from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import study as study_lib
from transfusion_tf.study import results
from transfusion_tf.study import statistics

HOLDS, FAILS, INCONCLUSIVE = VERDICTS = (
  'holds',
  'does not hold',
  'inconclusive at this scale',
)
POINT = 0.01  # Of AUC: the paper speaks of "fractions of a percent".
LEARNED = 0.6  # The least AUC of a network that we say anything about.


@dataclasses.dataclass(frozen=True)
class Test:
  """An estimate, and the open range in which the claim sees it.

  Attributes:
    statistic: What is estimated.
    estimate: With its 95 % interval.
    above: Lower end of the range.
    below: Upper end.
  """

  statistic: str
  estimate: statistics.Estimate
  above: float = -math.inf
  below: float = math.inf

  @property
  def verdict(self) -> str:
    found = self.estimate
    if not found.known:
      return INCONCLUSIVE
    if self.above < found.low and found.high < self.below:
      return HOLDS
    if found.high <= self.above or found.low >= self.below:
      return FAILS
    return INCONCLUSIVE

  def text(self) -> str:
    found = self.estimate
    interval = (
      f'[{found.low:+.3f}, {found.high:+.3f}]' if found.known else '[unknown]'
    )
    return f'{self.statistic}: {found.value:+.3f} {interval}, {self._range()}'

  def _range(self):
    if math.isinf(self.below):
      return f'claimed above {self.above:g}'
    if math.isinf(self.above):
      return f'claimed below {self.below:g}'
    return f'claimed between {self.above:g} and {self.below:g}'


@dataclasses.dataclass(frozen=True)
class Claim:
  """One of the nineteen.

  Attributes:
    number: Its number.
    says: What the paper says, in our words.
    where: Where it says so.
    scale: Why the size of the study may matter.
    tests: A study -> the tests; raises `Gap` where something is missing.
    learned: A study -> groups that must have learned their task.
  """

  number: int
  says: str
  where: str
  scale: str
  tests: Callable[[study_lib.Study], Sequence[Test]]
  learned: Callable[[study_lib.Study], Sequence[figure_specs.Group]]


@dataclasses.dataclass(frozen=True)
class Judgement:
  """A claim's verdict, and what it rests on."""

  claim: Claim
  verdict: str
  tests: tuple[Test, ...] = ()
  reason: str = ''

  @property
  def finding(self) -> str:
    """Ours in one line."""
    parts = [*(test.text() for test in self.tests), self.reason]
    return '; '.join(part for part in parts if part)


def judge(claim: Claim, study: study_lib.Study) -> Judgement:
  """All tests must speak for a claim; one that speaks against it suffices."""
  try:
    tests = tuple(claim.tests(study))
    unlearned = [
      study.key(group, 0)
      for group in claim.learned(study)
      if not has_learned(study, group)
    ]
  except (study_lib.Gap, *results.UNREADABLE) as gap:
    return Judgement(claim, INCONCLUSIVE, reason=f'missing: {gap}')
  if unlearned:
    more = f' and {len(unlearned) - 1} more' if unlearned[1:] else ''
    return Judgement(
      claim,
      INCONCLUSIVE,
      tests,
      f'not learned (test AUC below {LEARNED}): {unlearned[0]}{more}',
    )
  verdicts = [test.verdict for test in tests]
  if FAILS in verdicts:
    return Judgement(claim, FAILS, tests)
  if INCONCLUSIVE in verdicts:
    reason = (
      ''
      if all(test.estimate.known for test in tests)
      else 'one seed: no spread is known'
    )
    return Judgement(claim, INCONCLUSIVE, tests, reason)
  return Judgement(claim, HOLDS, tests)


def has_learned(study: study_lib.Study, group: figure_specs.Group) -> bool:
  """Whether its mean test AUC is `LEARNED` or more, and chance excluded."""
  found = study.difference((1,), (group,))
  return found.value >= LEARNED and not found.low <= 0.5

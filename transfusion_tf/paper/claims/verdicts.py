"""The paper's nineteen claims, each judged by an interval; never forced.

A claim is one or more tests, each an estimate and the range that the claim
puts it in. An interval inside the range speaks for the claim, one outside
against it, one across its border for neither. Networks that have not learned
their task are not judged: two that guess are also "alike".
"""

from collections.abc import Callable, Iterator, Sequence
import dataclasses
import math

from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import study as study_lib
from transfusion_tf.study import results
from transfusion_tf.study import statistics

HOLDS, FAILS = 'holds', 'does not hold'
INCONCLUSIVE = 'inconclusive at this scale'
POINT = 0.01  # Of AUC: the paper speaks of "fractions of a percent".
EQUAL = {'above': -POINT, 'below': POINT}
LEARNED = 0.6  # The least AUC of a network that claims are judged by.


@dataclasses.dataclass(frozen=True)
class Test:
  """An estimate, and the open range in which the claim sees it.

  Attributes:
    statistic: Name of the statistic.
    estimate: The estimate, with its 95 % interval.
    above: Lower end of the range.
    below: Upper end.
  """

  statistic: str
  estimate: statistics.Estimate
  above: float = -math.inf
  below: float = math.inf

  @property
  def verdict(self) -> str:
    estimate = self.estimate
    if not estimate.known:
      return INCONCLUSIVE
    if self.above < estimate.low and estimate.high < self.below:
      return HOLDS
    if estimate.high <= self.above or estimate.low >= self.below:
      return FAILS
    return INCONCLUSIVE

  def text(self) -> str:
    estimate = self.estimate
    interval = (
      f'[{estimate.low:+.3f}, {estimate.high:+.3f}]'
      if estimate.known
      else '[unknown]'
    )
    return (
      f'{self.statistic}: {estimate.value:+.3f} {interval}, {self._range()}'
    )

  def _range(self):
    if math.isinf(self.below):
      return f'claimed above {self.above:g}'
    if math.isinf(self.above):
      return f'claimed below {self.below:g}'
    return f'claimed between {self.above:g} and {self.below:g}'


Tests = Iterator[Test]


@dataclasses.dataclass(frozen=True)
class Claim:
  """One of the nineteen.

  Attributes:
    number: Its number.
    text: The claim in our words.
    reference: The place in the paper.
    scale: Why the size of the study may matter.
    tests: Yields the tests of a study; raises `MissingResultError`.
    learned: Returns the groups of a study that must have learned their task.
  """

  number: int
  text: str
  reference: str
  scale: str
  tests: Callable[[study_lib.Study], Tests]
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
    """The tests and the reason in one line."""
    parts = [*(test.text() for test in self.tests), self.reason]
    return '; '.join(part for part in parts if part)


def judge(claim: Claim, study: study_lib.Study) -> Judgement:
  """Return the verdict: all tests must hold; one that fails is enough."""
  try:
    tests = tuple(claim.tests(study))
    unlearned = [
      study.key(group, 0)
      for group in claim.learned(study)
      if not has_learned(study, group)
    ]
  except results.UNAVAILABLE as error:
    return Judgement(claim, INCONCLUSIVE, reason=f'missing: {error}')
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
  """Return whether the mean test AUC is high enough and above chance."""
  estimate = study.difference((1,), (group,))
  return estimate.value >= LEARNED and not estimate.low <= 0.5

"""The paper's nineteen claims, each judged by an interval; never forced.

A claim is one or more tests, each an estimate and the range that the claim
puts it in. An interval inside the range speaks for the claim, one outside
against it, one across its border for neither. A claim holds if all its tests
do. One that fails is enough against it, and as many tests are as many chances
to fail by luck: that test's p value is multiplied by their number (Bonferroni).
Claims about learning are not judged by networks that have not learned their
task: two that guess are also "alike".
"""

from collections.abc import Callable, Iterator, Sequence
import dataclasses
import math

from transfusion_tf import metrics
from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import study as study_lib
from transfusion_tf.study import results
from transfusion_tf.study import statistics

HOLDS, FAILS = 'holds', 'does not hold'
INCONCLUSIVE = 'inconclusive at this scale'
POINT = 0.01  # Of AUC: the paper speaks of "fractions of a percent".
EQUAL = {'above': -POINT, 'below': POINT}
HALF = 0.5  # Of the variance: less predicts little.
_LEVEL = 1 - metrics.LEVEL
LEARNED = 0.6  # The least AUC of a network that claims are judged by.


@dataclasses.dataclass(frozen=True)
class Test:
  """An estimate, and the open range in which the claim sees it.

  Attributes:
    statistic: Name of the statistic.
    estimate: The estimate, with its 95 % interval.
    above: Lower end of the range.
    below: Upper end.
    ratio: Whether the estimate is the logarithm of a ratio.
  """

  statistic: str
  estimate: statistics.Estimate
  above: float = -math.inf
  below: float = math.inf
  ratio: bool = False

  @property
  def p_value(self) -> float:
    """The level 1 - p at which the test still holds."""
    return self.estimate.p_value(self.above, self.below)

  @property
  def p_against(self) -> float:
    """The level 1 - p at which the test still fails."""
    outside = {'below': self.above, 'above': self.below}
    return min(
      self.estimate.p_value(**{side: end})
      for side, end in outside.items()
      if math.isfinite(end)
    )

  @property
  def verdict(self) -> str:
    if self.p_value < _LEVEL:
      return HOLDS
    return FAILS if self.p_against <= _LEVEL else INCONCLUSIVE

  def text(self) -> str:
    """Return the estimate and the claim in one line."""
    estimate = self.estimate
    interval = (
      ', '.join(map(self._number, estimate.interval()))
      if estimate.known
      else 'unknown'
    )
    value = self._number(estimate.value)
    return f'{self.statistic}: {value} [{interval}], {self._range()}'

  def _number(self, value):
    return f'×{math.exp(value):.2f}' if self.ratio else f'{value:+.3f}'

  def _range(self):
    above, below = (
      f'×{math.exp(end):g}' if self.ratio else f'{end:g}'
      for end in (self.above, self.below)
    )
    if math.isinf(self.below):
      return f'claimed above {above}'
    if math.isinf(self.above):
      return f'claimed below {below}'
    return f'claimed between {above} and {below}'


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
    learned: Returns the groups of a study that must have learned their task:
      of networks that guess, claims about learning say nothing. Claims about
      similarity ask for none, so that a control can fail them.
  """

  number: int
  text: str
  reference: str
  scale: str
  tests: Callable[[study_lib.Study], Tests]
  learned: Callable[[study_lib.Study], Sequence[figure_specs.Group]]


@dataclasses.dataclass(frozen=True)
class Judgement:
  """A claim's verdict, and what it rests on.

  Attributes:
    claim: The claim.
    verdict: The verdict.
    tests: Its tests; none if a result is missing.
    reason: Why there is no verdict, if the tests do not say.
    learned: Whether the networks have learned what the claim asks for.
  """

  claim: Claim
  verdict: str
  tests: tuple[Test, ...] = ()
  reason: str = ''
  learned: bool = True

  @property
  def p_value(self) -> float:
    """The level 1 - p at which the verdict still follows; 1 for none."""
    if self.verdict == HOLDS:
      return max(test.p_value for test in self.tests)
    return _p_against(self.tests) if self.verdict == FAILS else 1.0

  @property
  def finding(self) -> str:
    """The tests and the reason in one line."""
    parts = [*(test.text() for test in self.tests), self.reason]
    return '; '.join(part for part in parts if part)


def judge(claim: Claim, study: study_lib.Study) -> Judgement:
  """Return the verdict; see the module docstring."""
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
      learned=False,
    )
  if _p_against(tests) <= _LEVEL:
    return Judgement(claim, FAILS, tests)
  if all(test.verdict == HOLDS for test in tests):
    return Judgement(claim, HOLDS, tests)
  return Judgement(claim, INCONCLUSIVE, tests, _open(tests))


def _p_against(tests):
  """Return the level 1 - p at which one of the tests still fails."""
  return min(1.0, len(tests) * min(test.p_against for test in tests))


def _open(tests):
  """Return why tests decide nothing, if their intervals do not say it."""
  if not all(test.estimate.known for test in tests):
    return 'one seed: no spread is known'
  failed = sum(test.verdict == FAILS for test in tests)
  if failed:
    return f'{failed} of {len(tests)} parts alone would fail'
  return ''


def has_learned(study: study_lib.Study, group: figure_specs.Group) -> bool:
  """Return whether the mean test AUC is high enough and above chance."""
  estimate = study.difference((1,), (group,))
  return estimate.value >= LEARNED and not estimate.low <= 0.5

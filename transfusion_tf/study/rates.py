"""The learning rate of each start, chosen on validation.

One rate for all starts favors the start that it suits. So each model is
trained from each start at every rate of one grid, in full and with the first
seed; the rate whose best validation score is highest is that of all its seeds,
the first of which is then the trial itself. The test set has no part in it.
"""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import math
from typing import Any

from transfusion_tf.study import plan as plan_lib
from transfusion_tf.study import results


@dataclasses.dataclass(frozen=True)
class Choice:
  """The learning rate of a model from a start.

  Attributes:
    model: Model.
    start: Name of the start.
    scores: Rate -> best validation score of its trial; NaN if the trial failed
      or its score is not defined.
    chosen: The rate with the highest one.
    stderr: Standard error of that score over the validation patients; NaN if
      it is not known.
  """

  model: str
  start: str
  scores: Mapping[float, float]
  chosen: float
  stderr: float = math.nan

  @property
  def at_edge(self) -> bool:
    """Whether a rate beyond the grid may be better."""
    return self.chosen in (min(self.scores), max(self.scores))

  @property
  def within_noise(self) -> tuple[float, ...]:
    """The other rates whose score is within one standard error of the best."""
    stderr = 0 if math.isnan(self.stderr) else self.stderr
    least = self.scores[self.chosen] - stderr
    return tuple(
      rate
      for rate, score in self.scores.items()
      if rate != self.chosen and score >= least
    )

  def record(self) -> dict[str, Any]:
    """Return it as JSON can hold it."""
    return {
      'model': self.model,
      'start': self.start,
      'learning_rate': self.chosen,
      'validation': [
        {'learning_rate': rate, 'score': None if math.isnan(score) else score}
        for rate, score in self.scores.items()
      ],
      'stderr': None if math.isnan(self.stderr) else self.stderr,
    }


def choose(plan: plan_lib.Plan, root: str) -> list[Choice]:
  """Return the choice for each model and start one of whose trials is scored.

  Args:
    plan: A plan with several rates, whose trials below `root` have ended.
    root: Folder of the study.
  """
  return list(_choices(plan, root)) if len(plan.rates) > 1 else []


def applied(plan: plan_lib.Plan, choices: Sequence[Choice]) -> plan_lib.Plan:
  """Return a plan whose runs have the rates that were chosen."""
  return dataclasses.replace(
    plan, chosen={(c.model, c.start): c.chosen for c in choices}
  )


def _choices(plan, root) -> Iterator[Choice]:
  for model in plan.models:
    for start in plan.starts_of(model):
      trials = plan.trials_of(root, model, start)
      found = {rate: results.read(root, t.key) for rate, t in trials.items()}
      scored = {
        rate: run
        for rate, run in found.items()
        if isinstance(run, results.Result) and not math.isnan(run.best())
      }
      if not scored:
        continue
      best = max(scored, key=lambda rate: scored[rate].best())
      yield Choice(
        model,
        start.name,
        {r: scored[r].best() if r in scored else math.nan for r in trials},
        best,
        scored[best].stderr,
      )

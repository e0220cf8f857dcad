"""A study within a time limit: measured, planned and announced."""

from collections.abc import Iterator
import dataclasses
import itertools
import math
import time
from typing import Any

from transfusion_tf.study import durations
from transfusion_tf.study import plan as plan_lib
from transfusion_tf.study import report
from transfusion_tf.study import time_forecast
from transfusion_tf.study import time_plan

_TITLE = 'What was left out for time'


@dataclasses.dataclass(frozen=True)
class Limit:
  """A time limit.

  Attributes:
    seconds: Of the whole session; infinity for no limit.
    began: When the session began, in seconds of `time.monotonic`.
  """

  seconds: float = math.inf
  began: float = dataclasses.field(default_factory=time.monotonic)

  @property
  def is_set(self) -> bool:
    return not math.isinf(self.seconds)

  @property
  def left(self) -> float:
    """The seconds that are left."""
    return self.seconds - (time.monotonic() - self.began)

  def until(self, reserve: float) -> float:
    """Return when it is over but for `reserve` seconds."""
    return self.began + self.seconds - reserve


def fit(
  plan: plan_lib.Plan,
  machine: time_forecast.Machine,
  limit: Limit,
  continues: bool = False,
) -> tuple[plan_lib.Plan, float]:
  """Return what of a plan is made, and until when it trains; say so.

  Args:
    plan: The whole study.
    machine: How it is made.
    limit: Its time. Without a limit all is made, with runs as long as those
      that have begun.
    continues: Whether no study was asked for but the one that is there: it
      keeps to its networks.

  Raises:
    InputError: Not even the smallest part fits.
  """
  root = machine.root
  record = time_plan.read(root)
  runs = itertools.chain(*time_forecast.phases(plan, root))
  begun = time_plan.has_begun(runs, root)
  length = record.get('length', 1.0) if begun else 1.0
  if not limit.is_set:
    models = tuple(record.get('models', ())) if continues else ()
    part = time_plan.Part(models or plan.models, plan.num_seeds, length)
    if record:
      lost = time_plan.left_out(plan, part)
      time_plan.write(root, {**_described(part), 'left_out': lost})
    return part.of(plan), math.inf
  asked = {
    'limit': limit.seconds,
    'models': list(plan.models),
    'seeds': plan.num_seeds,
  }
  if begun and record.get('asked') == asked:
    part = time_plan.Part(tuple(record['models']), record['seeds'], length)
    for line in ('As planned before:', *record['left_out']):
      print(line, flush=True)
    return part.of(plan), limit.until(record['closing'])
  part, told = _choose(plan, machine, limit, length if begun else None)
  time_plan.write(root, {'asked': asked, **_described(part), **told})
  return part.of(plan), limit.until(told['closing'])


def _described(part):
  return {
    'models': list(part.models),
    'seeds': part.num_seeds,
    'length': part.length,
  }


def _choose(plan, machine, limit, length):
  """Return the part that fits, and what is kept of the choice.

  Args:
    plan: The whole.
    machine: How it is made.
    limit: The time.
    length: Of the runs that have begun, as `time_plan.Part` has it; None
      before.
  """
  forecast = time_forecast.Forecast(plan, machine)
  start = plan
  if length is not None:
    whole = dataclasses.replace(time_plan.whole(plan), length=length)
    start = whole.of(plan)
  is_free = length is None
  left = limit.left
  part = time_plan.choose(start, left, forecast.seconds, is_free)
  full = forecast.seconds(plan)
  if part is None:
    least = time_plan.smallest(start, forecast.seconds, is_free)
    spent = limit.seconds - left
    raise time_plan.refusal(
      limit.seconds, spent + forecast.seconds(least.of(start)), spent + full
    )
  if length is not None:
    part = dataclasses.replace(part, length=length)
  made = part.of(plan)
  lost = time_plan.left_out(plan, part)
  seconds = forecast.seconds(made)
  for line in forecast.lines(made):
    print(line)
  print(
    f'about {durations.text(seconds)} in all, of {durations.text(left)} that '
    'are left; patience may end runs earlier'
  )
  if lost:
    print(' '.join([*lost, f'All of it takes {durations.text(full)}.']))
  told: dict[str, Any] = {
    'left_out': lost,
    'seconds': round(seconds),
    'full_seconds': round(full),
    'closing': round(forecast.closing(made)),
    'costs': forecast.record(),
  }
  return part, told


def section(root: str) -> Iterator[report.Section]:
  """Yield a section on what was left out, if anything was."""
  if lost := time_plan.read(root).get('left_out', []):
    yield report.Section(_TITLE, [' '.join(lost)])

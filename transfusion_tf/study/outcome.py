"""The results of a study's runs, and how far training moved their networks."""

from collections.abc import Iterable
import dataclasses

import pandas as pd

from transfusion_tf import errors
from transfusion_tf.analysis import compare_runs
from transfusion_tf.analysis import sampling
from transfusion_tf.study import decision
from transfusion_tf.study import plan as plan_lib
from transfusion_tf.study import results

_NO_ROWS = pd.DataFrame(
  columns=['layer', 'mean', 'noise_floor', 'model', 'start']
)
# Enough for a noise floor near 0.1 on a few hundred images.
_SAMPLING = sampling.Sampling(num_patches=8_000, num_channels=32, repeats=3)


@dataclasses.dataclass(frozen=True)
class Outcome:
  """The results of a study's runs.

  Attributes:
    results: All finished runs.
    missing: Key of each run that is missing, or has a score that is not
      defined -> why.
  """

  results: list[results.Result]
  missing: dict[str, str]

  @property
  def finished(self) -> decision.Runs:
    """All finished runs."""
    return _by_start(self.results)

  @property
  def runs(self) -> decision.Runs:
    """The finished runs with a test score."""
    return _by_start(
      run for run in self.results if run.test()['value'] is not None
    )


def _by_start(runs: Iterable[results.Result]) -> decision.Runs:
  groups: dict[str, dict[str, list[results.Result]]] = {}
  for run in runs:
    model, start = run.experiment.model.name, run.experiment.init.scheme
    groups.setdefault(model, {}).setdefault(start, []).append(run)
  return groups


def read(plan: plan_lib.Plan, root: str) -> Outcome:
  """Return the results of the runs of a plan below the folder `root`."""
  outcome = Outcome([], {})
  for model in plan.models:
    for start in plan.starts_of(model):
      for planned in plan.seeds(root, model, start):
        run: results.Result | results.MissingRun | None
        run = results.read(root, planned.key)
        if isinstance(run, results.MissingRun):
          outcome.missing[run.key] = run.reason
          run = run.unscored
        if run:
          outcome.results.append(run)
  return outcome


def similarity(runs: decision.Runs) -> tuple[pd.DataFrame, dict[str, str]]:
  """Compare each stage before and after training (Figure 3), first seeds only.

  Returns:
    A row for each model, start and layer: `mean` and `noise_floor`; and model
    -> why it has none, where there are too few images.
  """
  tables, refused = [_NO_ROWS], {}
  for model, starts in runs.items():
    dirs = [seeds[0].run_dir for seeds in starts.values()]
    try:
      table = compare_runs.before_and_after(dirs, sampling=_SAMPLING)
    except errors.InputError as error:
      refused[model] = str(error)
      continue
    groups = table.groupby(['b', 'layer'], sort=False)[['mean', 'noise_floor']]
    table = groups.mean().reset_index()
    start_of = dict(zip(table['b'].unique(), starts, strict=True))
    start = table.pop('b').map(start_of.get)
    tables.append(table.assign(model=model, start=start))
  return pd.concat(tables[1:] or tables, ignore_index=True), refused

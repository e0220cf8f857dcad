"""The results of a study's runs."""

import collections
from collections.abc import Collection, Iterable, Mapping, Sequence
import dataclasses

from transfusion_tf import config
from transfusion_tf.study import decision
from transfusion_tf.study import failures as failures_lib
from transfusion_tf.study import plan as plan_lib
from transfusion_tf.study import rates
from transfusion_tf.study import results
from transfusion_tf.study import subsets as subsets_lib

_Results = list[results.Result]


@dataclasses.dataclass(frozen=True)
class Outcome:
  """The results of a study's runs.

  Attributes:
    results: All finished runs.
    missing: Key of each run that is missing, or has a score that is not
      defined -> why.
    failures: The runs that are missing.
    starts: Key of a run -> name of its start; by default its scheme.
    choices: The learning rates that were chosen.
    changed: Key of each run that was made with other settings than the study
      now has -> the differences.
    stages: Model -> names of its stages, the head last, where they are known.
    subsets: The subsets that the study trains on as well.
    of_subsets: Number of patients -> finished runs on a subset of so many that
      have a test score; they are not in `results`.
  """

  results: list[results.Result]
  missing: dict[str, str]
  failures: list[failures_lib.Failure] = dataclasses.field(default_factory=list)
  starts: dict[str, str] = dataclasses.field(default_factory=dict)
  choices: Sequence[rates.Choice] = ()
  changed: dict[str, list[str]] = dataclasses.field(default_factory=dict)
  stages: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
  subsets: subsets_lib.Subsets = subsets_lib.NONE
  of_subsets: dict[int, _Results] = dataclasses.field(default_factory=dict)

  @property
  def finished(self) -> decision.Runs:
    """All finished runs."""
    return _by_start(self.results, self.starts)

  @property
  def runs(self) -> decision.Runs:
    """The finished runs with a test score."""
    scored = [r for r in self.results if r.test()['value'] is not None]
    return _by_start(scored, self.starts)

  @property
  def runs_by_size(self) -> dict[int, decision.Runs]:
    """Number of training patients -> the runs with a test score, ascending."""
    return {
      patients: _by_start(self.of_subsets[patients], self.starts)
      for patients in sorted(self.of_subsets)
    } | {self.subsets.total: self.runs}


def _by_start(
  runs: Iterable[results.Result], starts: Mapping[str, str]
) -> decision.Runs:
  groups: dict[str, dict[str, list[results.Result]]] = {}
  for run in runs:
    model = run.experiment.model.name
    start = starts.get(run.key, run.experiment.init.scheme)
    groups.setdefault(model, {}).setdefault(start, []).append(run)
  return groups


def read(
  plan: plan_lib.Plan,
  root: str,
  failed: Mapping[str, str] | None = None,
  choices: Sequence[rates.Choice] = (),
  left_out: Collection[str] = (),
) -> Outcome:
  """Return the results of the runs of a plan below the folder `root`.

  Args:
    plan: The runs.
    root: Folder of the study.
    failed: Key of each run that failed just now -> why.
    choices: The learning rates that were chosen.
    left_out: Keys of the runs for which there was no time.
  """
  failed = failed or {}
  outcome = Outcome(
    [], {}, choices=choices, stages=plan.stages, subsets=plan.subsets
  )
  done = []
  for planned in plan.all_runs(root):
    run = results.read(root, planned.key)
    outcome.starts[run.key] = plan_lib.start_of(planned)
    if isinstance(run, results.MissingRun):
      if run.key in left_out:
        outcome.missing[run.key] = 'there was no time for it'
      elif run.unscored is None:
        _add_failure(outcome, planned, failed.get(run.key, run.reason))
      elif plan_lib.is_compared(planned):
        outcome.missing[run.key] = run.reason
        if not planned.patients:
          outcome.results.append(run.unscored)
    elif plan_lib.is_compared(planned):
      _of_size(outcome, planned).append(run)
      done.append((planned, run))
      if changes := _changes(run.experiment, planned.experiment):
        outcome.changed[run.key] = changes
  for planned, reason in _not_comparable(done):
    runs = _of_size(outcome, planned)
    runs[:] = [run for run in runs if run.key != planned.key]
    _add_failure(outcome, planned, reason)
  return outcome


def _of_size(outcome, planned):
  """Return the list that a finished run is in."""
  if not planned.patients:
    return outcome.results
  return outcome.of_subsets.setdefault(planned.patients, [])


def _changes(made, planned):
  """Return how a finished run's settings differ, but for moved weights."""
  moved = {'init.pretrained': planned.init.pretrained}
  return config.differences(config.override(made, moved), planned)


def _add_failure(outcome, planned, reason):
  if reason.startswith(results.DAMAGED):
    reason += '; delete its folder, and the same command trains it again'
  outcome.missing[planned.key] = reason
  outcome.failures.append(
    failures_lib.Failure(
      planned.key,
      planned.experiment.model.name,
      plan_lib.start_of(planned),
      reason,
      planned.patients,
    )
  )


def _not_comparable(done):
  """Yield the runs without scores of the images that most runs have."""
  images: dict[str, tuple[str, ...]] = {}
  for planned, run in done:
    try:
      run.test_metric()
      images[planned.key] = tuple(run.scores['image_id'])
    except results.UNREADABLE as error:
      yield planned, results.damage(error)
  if not images:
    return
  ((usual, _),) = collections.Counter(images.values()).most_common(1)
  for planned, _ in done:
    if images.get(planned.key, usual) != usual:
      yield (
        planned,
        f'{results.DAMAGED}: tested on other images than most runs are',
      )

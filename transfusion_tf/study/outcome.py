"""The results of a study's runs, and how far training moved their networks."""

import collections
from collections.abc import Collection, Iterable, Mapping, Sequence
import dataclasses
import math
import re

import pandas as pd

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import startup
from transfusion_tf.analysis import compare_runs
from transfusion_tf.analysis import sampling
from transfusion_tf.study import decision
from transfusion_tf.study import failures as failures_lib
from transfusion_tf.study import plan as plan_lib
from transfusion_tf.study import rates
from transfusion_tf.study import results
from transfusion_tf.study import subsets as subsets_lib

_NO_ROWS = pd.DataFrame(
  columns=['layer', 'mean', 'noise_floor', 'model', 'start']
)
# Enough for a noise floor near 0.1 on a few hundred images.
_SAMPLING = sampling.Sampling(num_patches=8_000, num_channels=32, repeats=3)
# What `similarity` says, in words of options that a study does not have.
_TOO_FEW = re.compile(
  r'(?P<stage>.+): (?P<patches>\d+) patches of (?P<images>\d+) images for '
  r'(?P<channels>\d+) channels'
)

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


def similarity(
  runs: decision.Runs, failed: dict[str, str] | None = None
) -> tuple[pd.DataFrame, dict[str, str]]:
  """Compare each stage before and after training (Figure 3), first seeds only.

  Args:
    runs: Finished runs.
    failed: Gets what failed for another reason than its input, and why.

  Returns:
    A row for each model, start and layer: `mean` and `noise_floor`; and model,
    or model and start -> why it has none, e.g. because there are too few
    images.
  """
  tables, refused = [_NO_ROWS], {}
  for model, starts in runs.items():
    folders = {start: seeds[0].run_dir for start, seeds in starts.items()}
    made, lost = _compare_starts(folders)
    for start, error in lost.items():
      name = f'{model} from {start}' if made else model
      refused[name] = _in_words_of_a_study(startup.report_error(error))
      if failed is not None and not isinstance(error, errors.InputError):
        failed[f'Comparing {name}'] = refused[name]
    tables += [table.assign(model=model) for table in made]
  return pd.concat(tables[1:] or tables, ignore_index=True), refused


def _compare_starts(folders):
  """Return tables of the starts of a model, and start -> its exception."""
  try:
    return [_before_and_after(folders)], {}
  except Exception as error:  # Whatever a user's network does.
    if len(folders) == 1:
      return [], dict.fromkeys(folders, error)
  made, lost = [], {}
  for start, folder in folders.items():  # One may be all that is wrong.
    tables, errors_of_start = _compare_starts({start: folder})
    made += tables
    lost |= errors_of_start
  return made, lost


def _before_and_after(folders):
  """Return `layer`, `mean`, `noise_floor` and `start` of {start: run}."""
  table = compare_runs.before_and_after(
    list(folders.values()), sampling=_SAMPLING
  )
  groups = table.groupby(['b', 'layer'], sort=False)[['mean', 'noise_floor']]
  table = groups.mean().reset_index()
  start_of = dict(zip(table['b'].unique(), folders, strict=True))
  return table.assign(start=table.pop('b').map(start_of.get))


def _in_words_of_a_study(reason):
  """Return a reason without options of `Sampling`, which no flag here sets."""
  few = _TOO_FEW.match(reason)
  if not few:
    return reason
  patches, images, channels = (
    int(few[name]) for name in ('patches', 'images', 'channels')
  )
  # Each repeat leaves one part of the images out.
  part = images / _SAMPLING.repeats
  needed = _SAMPLING.repeats * math.ceil((channels + 1) * part / patches)
  return (
    f'{few["stage"]}: {images} test images are too few to compare this stage, '
    f'which takes {needed} or more'
  )

"""What a run's folder tells of one checkpoint: for cards of exports."""

from __future__ import annotations

from collections.abc import Collection, Mapping
import dataclasses
from typing import Any

import pandas as pd

from transfusion_tf import decisions as decisions_lib
from transfusion_tf import run_folder
from transfusion_tf.run import ensemble as ensemble_lib
from transfusion_tf.run import ensemble_scores
from transfusion_tf.run import scores as scores_lib


@dataclasses.dataclass(frozen=True, eq=False)
class Record:
  """What is known of a network besides its weights.

  Attributes:
    step: Step of the checkpoint, if it is of one.
    result: As `run_folder.result`; empty if nothing was judged.
    is_judged: Whether the result is of this checkpoint.
    scores: The table of test scores, if it is of this checkpoint.
    decisions: How probabilities are read, if that was chosen.
    begun_on: The data set of the training, as `run_folder.begun_on`; empty if
      that is not known.
  """

  step: int | None = None
  result: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  is_judged: bool = False
  scores: pd.DataFrame | None = None
  decisions: decisions_lib.Decisions | None = None
  begun_on: Mapping[str, str] = dataclasses.field(default_factory=dict)

  def other(self, known_as: Collection[str]) -> Mapping[str, str]:
    """Return the data set of the training if it is another one, else empty.

    Args:
      known_as: The fingerprints of the open data set.
    """
    return run_folder.if_other(self.begun_on, known_as)


def of_run(run_dir: str, step: int | None) -> Record:
  """Return what a folder tells of the checkpoint of a step.

  Args:
    run_dir: The run's folder; empty tells nothing.
    step: The step, if any.
  """
  if not run_dir:
    return Record(step)
  result = run_folder.result(run_dir) or {}
  scores = None
  if result.get('test'):
    scores = scores_lib.stored(run_dir, step, run_folder.TEST_SCORES)
  return Record(
    step,
    result,
    result.get('judged_step') == step,
    scores,
    run_folder.decisions(run_dir, step),
    run_folder.begun_on(run_dir),
  )


def of_ensemble(run: ensemble_lib.EnsembleRun) -> Record:
  """Return what the members' folders tell of their mean."""
  judged = dict(ensemble_scores.judged(run.parts, run.task))
  return Record(
    None,
    judged,
    bool(judged),
    judged.pop('scores', None),
    ensemble_scores.decisions(run.parts, run.task),
    run_folder.begun_on(run.parts[0].run_dir),
  )

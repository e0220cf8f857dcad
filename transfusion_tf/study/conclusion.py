"""What follows the runs of a study: comparisons, and the report."""

from collections.abc import Sequence
import os

import pandas as pd

from transfusion_tf import startup
from transfusion_tf.metrics import operating_points
from transfusion_tf.study import comparisons
from transfusion_tf.study import executors
from transfusion_tf.study import model_cost
from transfusion_tf.study import outcome as outcome_lib
from transfusion_tf.study import study_page


def write(
  results: outcome_lib.Outcome,
  root: str,
  dataset: str,
  margin: float,
  subgroups: pd.DataFrame | None = None,
  targets: Sequence[operating_points.Target] | None = None,
  locates_benefit: bool = True,
  executor: executors.Executor = executors.HERE,
) -> dict[str, str]:
  """Compare the networks of a study, write its report and print what it says.

  Args:
    results: The runs.
    root: Folder of the study.
    dataset: Name of the data set.
    margin: The smallest difference in the test score that matters.
    subgroups: `PreparedDataset.subgroups`.
    targets: Operating points, as `study_page.write` takes them.
    locates_benefit: Whether to measure where the benefit sits.
    executor: Makes the comparisons.

  Returns:
    What failed, though the runs are finished, and why.
  """
  failed: dict[str, str] = {}
  print('== Comparing the networks before and after training', flush=True)
  similarity, not_compared = comparisons.compare(
    results.finished, root, failed, executor
  )
  for name, reason in not_compared.items():
    print(f'{name}: not compared: {reason}')
  if locates_benefit:
    print('== Where the benefit sits: stages put back, lines between seeds')
    for note in comparisons.locate_benefit(results.finished, root, executor):
      print(note, flush=True)
  table, recommendation = study_page.write(
    root,
    dataset,
    results,
    _footprints(results.finished, failed),
    margin,
    similarity,
    not_compared,
    subgroups,
    targets,
  )
  print(f'\n{table}\n\n{recommendation}\n')
  for failure in results.failures:
    print(f'Failed: {failure.key}: {failure.reason}')
  print(f'Report: {os.path.join(root, study_page.REPORT)}')
  return failed


def _footprints(runs, failed):
  """Return model -> its cost; where that fails, what its result tells."""
  footprints = {}
  for model, starts in runs.items():
    first = next(iter(starts.values()))[0]
    try:
      cost = model_cost.measure(first.experiment, first.num_outputs)
    except Exception as error:  # Whatever a user's network does.
      failed[f'The cost of {model}'] = startup.report_error(error)
      cost = model_cost.unmeasured(first.result.get('trainable_parameters', 0))
    footprints[model] = cost
  return footprints

"""Tables: pure functions of results, as pandas frames ready to print."""

from collections.abc import Sequence

import pandas as pd

from transfusion_tf.paper import display
from transfusion_tf.paper import results

NONE = '–'


def by_scheme(
  runs: Sequence[results.Result | results.Missing], threshold: float
) -> pd.DataFrame:
  """One row a run: test score, best validation score, speed of convergence."""
  return pd.DataFrame([_row(run, threshold) for run in runs])


def _row(run, threshold):
  if isinstance(run, results.Missing):
    return {'Start': run.key, 'Test AUC': NONE, '95 % interval': run.reason}
  test = run.test()
  return {
    'Start': display.SCHEMES[run.experiment.init.scheme].label,
    'Test AUC': f'{test["value"]:.3f}',
    '95 % interval': f'{test["low"]:.3f} to {test["high"]:.3f}',
    'Best validation AUC': f'{run.curve[run.headline].max():.3f}',
    f'Steps to {threshold:.2f}': str(run.steps_to(threshold) or 0),
    'Minutes': f'{run.result["seconds"] / 60:.1f}',
  }

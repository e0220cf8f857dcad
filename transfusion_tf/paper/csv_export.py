"""A study as three plain tables: a row a run, an evaluation, a similarity.

They hold the numbers that tables, figures and claims are made of, all but
those of single test images and filters, and are small enough for a repository.
"""

from collections.abc import Sequence

import pandas as pd

from transfusion_tf import config
from transfusion_tf.paper import cca_pairs
from transfusion_tf.paper import runs
from transfusion_tf.paper import study as study_lib
from transfusion_tf.study import results

# Where a run was made, and what its key says.
_NOT_SHOWN = ('runtime.', 'init.pretrained')
_COUNTS = (
  'num_train',
  'num_test',
  'parameters',
  'trainable_parameters',
  'judged_step',
  'last_step',
  'seconds',
)


def of(study: study_lib.Study, names: Sequence[str]) -> dict[str, pd.DataFrame]:
  """Return `runs`, `curves` and `similarities` of expanded targets."""
  found = [study.run(plan.key) for plan in runs.plans(names, study.scale)]
  done = [run for run in found if isinstance(run, results.Result)]
  return {
    'runs': pd.DataFrame([_run(run) for run in found]),
    'curves': pd.concat(
      {run.key: run.curve for run in done} or {'': pd.DataFrame()},
      names=['run'],
    ).reset_index('run'),
    'similarities': pd.DataFrame(
      [
        row
        for comparison in cca_pairs.wanted(names, study.scale)
        for row in _similarities(study, comparison)
      ]
    ),
  }


def _run(run):
  if isinstance(run, results.Missing):
    return {'run': run.key, 'missing': run.reason}
  settings = config.flatten(run.experiment)
  return (
    {'run': run.key, 'missing': ''}
    | {
      flag: settings[field]
      for flag, field in config.FLAGS.items()
      if not field.startswith(_NOT_SHOWN)
    }
    | {name: run.result.get(name) for name in _COUNTS}
    | {'commit': run.result['versions'].get('commit')}
    | {
      f'test_{metric}{"" if part == "value" else f"_{part}"}': value
      for metric, parts in run.result['test'].items()
      for part, value in parts.items()
    }
  )


def _similarities(study, comparison):
  """One row a layer; none where there is no similarity."""
  try:
    layers = study.similarity(comparison)
  except study_lib.Gap:
    return
  for layer, found in layers.items():
    yield {
      'similarity': comparison.key,
      'layer': layer,
      'mean': found['mean'],
      'mean_std': found['mean_std'],
      'noise_floor': found['noise_floor']['mean'],
    }

"""A study as three plain tables: of runs, evaluations and similarities.

They hold the numbers behind tables, figures and claims, except those of single
test images and filters, and are small enough for a repository.
"""

from collections.abc import Sequence

import pandas as pd

from transfusion_tf import config
from transfusion_tf.paper import cca_pairs
from transfusion_tf.paper import study as study_lib
from transfusion_tf.study import results

# Fields of the machine, and one that follows from the run's key.
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


def frames(
  study: study_lib.Study, names: Sequence[str]
) -> dict[str, pd.DataFrame]:
  """Return `runs`, `curves` and `similarities` of expanded targets."""
  planned = study.planned(names)
  done, _ = results.split(planned)
  return {
    'runs': pd.DataFrame([_run(run) for run in planned]),
    'curves': pd.concat(
      {run.key: run.curve for run in done} or {'': pd.DataFrame()},
      names=['run'],
    ).reset_index('run'),
    'similarities': pd.DataFrame(
      [
        row
        for comparison in cca_pairs.required(names, study.scale)
        for row in _similarities(study, comparison)
      ]
    ),
  }


def _run(run):
  if isinstance(run, results.MissingRun):
    return {'run': run.key, 'missing': run.reason}
  fields = config.flatten(run.experiment)
  return (
    {'run': run.key, 'missing': ''}
    | {
      flag: fields[field]
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
  """Yield a row per layer; none where there is no similarity."""
  try:
    layers = study.similarity(comparison)
  except results.MissingResultError:
    return
  for name, layer in layers.items():
    yield {
      'similarity': comparison.key,
      'layer': name,
      'mean': layer['mean'],
      'mean_std': layer['mean_std'],
      'noise_floor': layer['noise_floor']['mean'],
    }

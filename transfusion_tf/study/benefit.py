"""Where the benefit of a start sits: measured on checkpoints, after the runs.

STUDY/stage_resets.csv   score of each start's first seed with one stage as it
                         was before training
STUDY/linear_paths.csv   loss and score between its first two seeds
"""

import dataclasses
import math
import os

import numpy as np
import pandas as pd

from transfusion_tf import config
from transfusion_tf import metrics
from transfusion_tf import run_folder
from transfusion_tf import startup
from transfusion_tf import storage
from transfusion_tf.analysis import weight_space
from transfusion_tf.models import registry
from transfusion_tf.run import build as run_lib
from transfusion_tf.study import decision
from transfusion_tf.study import results
from transfusion_tf.study import statistics

RESETS, PATHS = 'stage_resets.csv', 'linear_paths.csv'
# Evenly spaced test images that are scored each time.
MOST_IMAGES = 1_000
POSITIONS = tuple(np.linspace(0, 1, 11).round(2).tolist())


@dataclasses.dataclass(frozen=True)
class Measured:
  """What was measured.

  Attributes:
    resets: A row for each model, start and stage.
    paths: A row for each model, start and position.
    notes: What could not be measured, and why.
  """

  resets: pd.DataFrame
  paths: pd.DataFrame
  notes: list[str]


def measure(runs: decision.Runs) -> Measured:
  """Measure all starts of finished runs."""
  resets: list[dict] = []
  paths: list[dict] = []
  notes: list[str] = []
  for model, starts in runs.items():
    scorer = None
    for start, seeds in starts.items():
      names = {'model': model, 'start': start}
      try:
        if _is_partial(seeds[0].experiment.init):
          continue  # The whole start tells of all its stages.
        # Starts differ in weights alone: one compiled network does for all.
        scorer = scorer or _scorer(seeds[0])
        resets += [names | row for row in _resets(scorer, seeds[0])]
        if len(seeds) > 1 and seeds[0].experiment.init.scheme in PATHS_OF:
          paths += [names | row for row in _path(scorer, *seeds[:2])]
      except Exception as error:  # E.g. the checkpoints are gone.
        reason = startup.report_error(error)
        notes.append(f'{registry.label(model)} from {start}: {reason}')
  return Measured(
    pd.DataFrame(resets, columns=_RESET_COLUMNS),
    pd.DataFrame(paths, columns=_PATH_COLUMNS),
    notes,
  )


def write(measured: Measured, root: str) -> None:
  """Write the tables below the folder `root`."""
  for name, table in ((RESETS, measured.resets), (PATHS, measured.paths)):
    storage.write_text(os.path.join(root, name), table.to_csv(index=False))


_RESET_COLUMNS = [
  *('model', 'start', 'stage', 'trained', 'score', 'change', 'low', 'high'),
  'loss',
]
# Schemes between whose seeds the line is drawn, as Neyshabur et al. do.
PATHS_OF = ('random', 'transfer')
_PATH_COLUMNS = ['model', 'start', 'position', 'loss', 'score']


def barriers(paths: pd.DataFrame) -> pd.DataFrame:
  """Return the barriers of loss and score of each model and start."""
  rows = []
  for (model, start), path in paths.groupby(['model', 'start'], sort=False):
    positions = path['position'].to_numpy()
    rows.append(
      {
        'model': model,
        'start': start,
        'loss_barrier': weight_space.barrier(positions, path['loss']),
        'score_barrier': weight_space.barrier(positions, -path['score']),
        'ends': (path['score'].iloc[0], path['score'].iloc[-1]),
      }
    )
  return pd.DataFrame(rows)


def _scorer(run: results.Result) -> weight_space.Scorer:
  experiment = config.override(
    run.experiment,
    {'init': config.Init(), 'seed': 0, 'runtime.strategy': 'one_device'},
  )
  task = run_folder.task(run.run_dir, experiment.data)
  return weight_space.Scorer(
    run_lib.build(experiment, task), run.result['judged_split'], MOST_IMAGES
  )


def _resets(scorer, run) -> list[dict]:
  trained = scorer.read(run.run_dir, run.result['judged_step'])
  initial = scorer.read(run.run_dir, 0)
  before = scorer(trained)
  rows = []
  for stage, weights in weight_space.with_stage_reset(
    trained, initial, scorer.run.stages
  ):
    after = scorer(weights)
    change = _change(before.metric, after.metric, scorer.patients)
    low, high = change.patients_only
    rows.append(
      {
        'stage': stage,
        'trained': float(before.metric.value()),
        'score': float(after.metric.value()),
        'change': change.value,
        'low': low,
        'high': high,
        'loss': after.loss,
      }
    )
  return rows


def _change(before, after, patients) -> statistics.Estimate:
  """Return the second metric less the first, paired on patients."""
  value = float(after.value()) - float(before.value())
  if math.isnan(value):
    return statistics.Estimate(value)
  effects = [metric.effects(patients) for metric in (before, after)]
  moved = metrics.Effects(
    effects[1].values - effects[0].values, min(each.most for each in effects)
  )
  return statistics.Estimate(
    value, patients=statistics.Variance(moved.stddev**2, moved.freedom)
  )


def _path(scorer, first, second) -> list[dict]:
  a, b = (
    scorer.read(run.run_dir, run.result['judged_step'])
    for run in (first, second)
  )
  rows = []
  for position in POSITIONS:
    scored = scorer(weight_space.interpolate(a, b, position))
    rows.append(
      {
        'position': position,
        'loss': scored.loss,
        'score': float(scored.metric.value()),
      }
    )
  return rows


def _is_partial(init: config.Init) -> bool:
  """Return whether a start reaches, or freezes, some of the stages."""
  return bool(init.upto or init.freeze_upto)

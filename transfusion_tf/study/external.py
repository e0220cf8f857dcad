"""A network on another site's images, beside its own test images.

Nobody is in both sets, so that the interval of a difference is that of two
independent samples (`metrics.differences.independent`).
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import functools
import os
from typing import Any

import numpy as np
import pandas as pd

from transfusion_tf import errors
from transfusion_tf import label_map as label_map_lib
from transfusion_tf import metrics
from transfusion_tf import run_folder
from transfusion_tf import storage
from transfusion_tf import tasks
from transfusion_tf.input_pipeline import looks
from transfusion_tf.input_pipeline import tfds_folder
from transfusion_tf.run import build as run_lib
from transfusion_tf.run import scores as scores_lib

# Of each set by itself; those that the labels do not have stay out.
_METRICS = (
  *('referable', 'kappa', metrics.MEAN, 'auc', 'top1', 'macro_auc'),
  *('balanced_accuracy', 'average_precision', 'brier', 'brier_skill', 'ece'),
)


@dataclasses.dataclass(frozen=True, eq=False)
class Scored:
  """One set of images with their scores.

  Attributes:
    name: What it is called.
    table: A row an image; None if its scores are not known.
    lacking: Why they are not.
    prepared: The images; None if they are not at hand.
    split: Name of the split.
  """

  name: str
  table: pd.DataFrame | None
  lacking: str = ''
  prepared: tfds_folder.PreparedDataset | None = None
  split: str = tfds_folder.TEST

  def metric(self, name: str) -> metrics.Metric | None:
    """Return a metric; None if these labels have none of that name."""
    if self.table is None:
      return None
    try:
      return metrics.from_columns(self.table, name)
    except ValueError:
      return None

  @functools.cached_property
  def looks(self) -> looks.Looks | None:
    """What its images look like, if they are at hand."""
    return looks.of_split(self.prepared, self.split) if self.prepared else None


@dataclasses.dataclass(frozen=True, eq=False)
class Validation:
  """A network on two sets.

  Attributes:
    network: What it is called.
    origin: The runs and steps that it is of.
    task: The meaning of its outputs.
    primary: The metric that it was selected by.
    here: The other site's images.
    home: Its own test images.
    label_map: How the site's names were matched with the outputs.
    thresholds: What its own validation images chose.
    no_thresholds: Why they chose none, if that is to be said.
  """

  network: str
  origin: str
  task: tasks.Task
  primary: str
  here: Scored
  home: Scored
  label_map: label_map_lib.LabelMap
  thresholds: Sequence[metrics.operating_points.Chosen] = ()
  no_thresholds: str = ''

  def compared(self) -> list[str]:
    """Return the names of the metrics, the primary one first."""
    names = dict.fromkeys([self.primary, *_METRICS])
    if self.task.kind == tasks.Findings.kind:
      names |= dict.fromkeys(self.task.names)
    return [
      name for name in names if self._is_asked(name) and self.here.metric(name)
    ]

  def _is_asked(self, name):
    """Return whether a metric is of these labels."""
    known = tasks.METRICS.get(name)
    return known is None or known.kind in (self.task.kind, '')

  def difference(self, name: str) -> metrics.Summary | None:
    """Return a metric less that at home; None if it is not known there."""
    here, home = self.here.metric(name), self.home.metric(name)
    if here is None or home is None:
      return None
    assert self.here.table is not None and self.home.table is not None
    return metrics.differences.independent(
      here,
      self.here.table['patient_id'],
      home,
      self.home.table['patient_id'],
    )

  def points(self, scored: Scored) -> list[dict[str, Any]]:
    """Return what a set shows at the thresholds."""
    if scored.table is None:
      return []
    return scores_lib.judge(self.thresholds, scored.table)

  def record(self) -> dict[str, Any]:
    """Return the differences as JSON can hold them."""
    return {
      'internal_test': self.home.name,
      'differences': {
        name: found
        for name in self.compared()
        if (found := self.difference(name)) is not None
      },
      'operating_points_internal': self.points(self.home),
    }


def home(run_dir: str, table: pd.DataFrame | None, lacking: str) -> Scored:
  """Return the test images of a training.

  Args:
    run_dir: The folder of the run.
    table: The scores of its test images, if they are known.
    lacking: Why they are not.
  """
  known = run_folder.begun_on(run_dir)
  name = known.get('dataset', 'its own test set')
  return Scored(name, table, lacking, _opened(known))


def of_run(
  run: run_lib.Run,
  run_dir: str,
  step: int,
  split: str,
  scores: pd.DataFrame,
  thresholds: Sequence[metrics.operating_points.Chosen],
  lacking: str,
) -> Validation:
  """Return the comparison of a run on the open data set with its own test.

  Args:
    run: The run, with another site's data.
    run_dir: Its folder.
    step: The checkpoint.
    split: The split that was scored.
    scores: Its scores.
    thresholds: What the run's own validation images chose.
    lacking: Why they chose none, if that is to be said.
  """
  own = scores_lib.stored(run_dir, step, run_folder.TEST_SCORES)
  missing = (
    f'the folder of the run has no {run_folder.TEST_SCORES} of step {step}, '
    'but of the checkpoint that was selected'
  )
  return Validation(
    run.experiment.model.name,
    f'{run_folder.name(run_dir)}, step {step}',
    run.task,
    run.primary_metric,
    Scored(run.source.prepared.name, scores, '', run.source.prepared, split),
    home(run_dir, own, missing if own is None else ''),
    run.source.label_map,
    thresholds,
    lacking,
  )


def _opened(known):
  """Return the data set of the training if it is still there, else None."""
  directory = known.get('directory', '')
  if not directory or not storage.exists(
    os.path.join(directory, 'dataset_info.json')
  ):
    return None
  try:
    prepared = tfds_folder.PreparedDataset(directory)
    same = known['fingerprint'] in prepared.known_as
  except (errors.InputError, OSError, ValueError):
    return None
  is_tested = prepared.scored_split == tfds_folder.TEST
  return prepared if same and is_tested else None


def positives(scored: Scored) -> str:
  """Return how many images have what, as text."""
  if scored.table is None:
    return '–'
  answers = metrics.answers.from_table(scored.table)
  if not isinstance(answers, metrics.answers.Questions):
    return '–'
  labels = np.concatenate([pair[0] for pair in answers.asked.values()])
  known = labels[~np.isnan(labels)]
  return f'{np.mean(known > 0):.1%}' if len(known) else '–'


def shared_patients(validation: Validation) -> int:
  """Return how many patients' ids are in both sets."""
  here, there = validation.here.table, validation.home.table
  if here is None or there is None:
    return 0
  return len(set(here['patient_id']) & set(there['patient_id']))

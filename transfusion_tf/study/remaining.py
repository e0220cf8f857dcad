"""How long the missing runs of a study will take, by those that are finished.

A network's finished runs tell its seconds a step. Of a network without any, the
rest is only known to be longer.
"""

from collections.abc import Mapping
import contextlib
import os

import numpy as np

from transfusion_tf import config
from transfusion_tf import run_folder
from transfusion_tf.study import durations
from transfusion_tf.study import results


class Remaining:
  """The missing runs of a study."""

  def __init__(
    self,
    planned: Mapping[str, config.Experiment],
    root: str,
    num_processes: int = 1,
  ):
    """Begin with all runs missing.

    Args:
      planned: Key -> run.
      root: Folder of the study.
      num_processes: Runs at a time.
    """
    self._planned = planned
    self._root = root
    self._num_processes = num_processes
    self._missing = dict(planned)
    self._rates: dict[tuple[str, str], list[float]] = {}

  def ended(self, key: str, is_finished: bool = True) -> None:
    """Note that a run is finished, or failed."""
    self._missing.pop(key, None)
    if not is_finished:
      return
    experiment = self._planned[key]
    with contextlib.suppress(*results.UNREADABLE):  # It may be damaged.
      result = run_folder.result(os.path.join(self._root, key)) or {}
      rate = result['seconds'] / max(_steps(experiment), 1)
      self._rates.setdefault(_network(experiment), []).append(rate)

  def text(self) -> str:
    """Return `about 40 minutes left`, or '' if nothing is known or left."""
    known = [
      float(np.median(self._rates[_network(each)])) * _steps(each)
      for each in self._missing.values()
      if _network(each) in self._rates
    ]
    if not known:
      return ''
    at_a_time = min(self._num_processes, len(self._missing))
    seconds = max(sum(known) / at_a_time, *known)
    more = 'about' if len(known) == len(self._missing) else 'more than'
    return f'{more} {durations.text(seconds)} left'


def _network(experiment):
  return experiment.model.name, experiment.data.dataset


def _steps(experiment):
  return experiment.train.train_steps or experiment.train.train_epochs

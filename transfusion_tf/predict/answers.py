"""A network's probabilities as the columns of a table, a row a picture.

id                  the path, as it was given
p_NAME              probability of each output
calibrated_NAME     the same at the temperature, if one was fitted
score_referable     of grades, how referable the picture looks
decision_POINT      1 or 0 at each stored threshold
decision_class      the most probable class; of grades `decision_grade`
status              `ok`, or what is wrong with the picture
reason              the same in more words, or a note on what was scored

All between `id` and `status` is empty where the status is not `ok`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import tensorflow as tf

from transfusion_tf import decisions as decisions_lib
from transfusion_tf import metrics
from transfusion_tf import tasks
from transfusion_tf.predict import pictures

_NO_NUMBER = 'no finite answer'


class Answer(NamedTuple):
  """The answer to one picture.

  Attributes:
    id: What the picture is called.
    status: `pictures.OK`, or what is wrong with it.
    reason: The same in more words, or a note.
    probabilities: [K]; None if there are none.
  """

  id: str
  status: str
  reason: str = ''
  probabilities: np.ndarray | None = None


def of_network(
  name: str, note: str, probabilities: np.ndarray, status: str, reason: str
) -> Answer:
  """Return the answer of a network that was given a picture.

  Args:
    name: What the picture is called.
    note: What there is to say about the picture.
    probabilities: [K].
    status: `pictures.OK`, or why the network did not see it.
    reason: The same in more words.
  """
  if status != pictures.OK:
    return Answer(name, status, reason)
  if not np.isfinite(probabilities).all():
    return Answer(
      name, _NO_NUMBER, 'the network puts out what are no finite numbers'
    )
  return Answer(name, pictures.OK, note, probabilities)


def table(
  task: tasks.Task,
  decisions: decisions_lib.Decisions | None,
  answers: Sequence[Answer],
) -> pd.DataFrame:
  """Return the table of some pictures."""
  known = np.array([a.probabilities is not None for a in answers], bool)
  probabilities = np.full((len(answers), len(task.names)), np.nan, np.float32)
  if known.any():
    probabilities[known] = [
      a.probabilities for a in answers if a.probabilities is not None
    ]
  columns = {'id': [_as_text(a.id) for a in answers]}
  columns |= _by_name('p', task, probabilities)
  chosen = decisions or decisions_lib.Decisions()
  if chosen.temperature is not None:
    calibrated = chosen.calibrated(task, tf.constant(probabilities)).numpy()
    calibrated[~known] = np.nan
    columns |= _by_name('calibrated', task, calibrated)
  if isinstance(task, tasks.Grades):
    score = f'score_{metrics.answers.REFERABLE}'
    columns[score] = task.scores(probabilities)
  if names := chosen.names(task):
    decided = chosen.decide(task, tf.constant(probabilities)).numpy()
    for name, values in zip(names, decided.T, strict=True):
      if name == decisions_lib.most_probable(task):
        cells = pd.array(np.array(task.names, object)[values], 'string')
      else:
        cells = pd.array(values, 'Int8')
      cells[~known] = pd.NA
      columns[f'decision_{name}'] = cells
  columns['status'] = [a.status for a in answers]
  columns['reason'] = [_as_text(a.reason) for a in answers]
  return pd.DataFrame(columns)


def _by_name(prefix, task, values):
  return {f'{prefix}_{n}': values[:, k] for k, n in enumerate(task.names)}


def _as_text(text):
  """Return a path as it was given; bytes that are no UTF-8 are escaped."""
  return text.encode('utf-8', 'backslashreplace').decode('utf-8')

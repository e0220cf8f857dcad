"""What a study knows, and what would settle the rest, as section and text."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from transfusion_tf.models import registry
from transfusion_tf.study import decision
from transfusion_tf.study import display
from transfusion_tf.study import durations
from transfusion_tf.study import next_steps
from transfusion_tf.study import report

TITLE = 'What is known, and what next'
_NOTE = (
  'How many seeds or test patients would settle a comparison is a forecast '
  'from the spreads observed here. It is settled by any verdict: helps, hurts '
  'or no difference that matters; for a smaller network, that it is good '
  'enough or worse. More test patients means patients of the same kind.'
)
_FOLDER = 'STUDY'  # A page is passed on, and names no folder of its maker.


def section(
  steps: Sequence[next_steps.Step], runs: decision.Runs
) -> Iterator[report.Section]:
  """Yield the section, if the study compares anything.

  Args:
    steps: The steps.
    runs: The scored runs.
  """
  if steps:
    table = pd.DataFrame(
      [
        {
          'Network': registry.label(step.model),
          'Start': display.start(step.start).label,
          'Known': step.known,
          'What would settle it': step.advice or '–',
        }
        for step in steps
      ]
    )
    paragraphs = [*_count(steps), *_command(steps, runs, _FOLDER), _NOTE]
    yield report.Section(TITLE, paragraphs, table, cards=True)


def lines(
  steps: Sequence[next_steps.Step], runs: decision.Runs, root: str
) -> list[str]:
  """Return the same as lines to print; none without a comparison.

  Args:
    steps: The steps.
    runs: The scored runs.
    root: Folder of the study.
  """
  return [
    *_count(steps),
    *(
      f'{registry.label(step.model)}, {display.start(step.start).label}: '
      f'{step.known}. {step.advice}'
      for step in steps
      if not step.is_known
    ),
    *_command(steps, runs, root),
  ]


def _count(steps):
  if steps:
    known = sum(step.is_known for step in steps)
    yield f'{known} of {len(steps)} comparisons are settled.'


def _command(steps, runs, root):
  """Yield the command that settles most for what it costs, if one does."""
  open_ = [step for step in steps if not step.is_known]
  numbers = {step.more_seeds for step in open_} - {0}

  def settled(number):
    return sum(0 < step.more_seeds <= number for step in open_)

  if numbers:
    number = max(sorted(numbers), key=lambda n: settled(n) / n)
    yield (
      f'Next: study.py --output_dir={root} --more_seeds={number} (enough for '
      f'{settled(number)} of {len(open_)} open comparisons; about '
      f'{durations.text(number * _seconds_of_a_seed(runs))} of training, one '
      'run at a time).'
    )
  elif epochs := max((step.epochs for step in open_), default=0):
    yield (
      f'Next: study.py --flagfile={root}/flags.txt --epochs={epochs} '
      f'--output_dir={root}-longer (a study of its own: finished runs are not '
      'made longer).'
    )


def _seconds_of_a_seed(runs):
  """Return how long one seed of all starts takes."""
  return sum(
    float(np.mean([run.result['seconds'] for run in seeds]))
    for starts in runs.values()
    for seeds in starts.values()
  )

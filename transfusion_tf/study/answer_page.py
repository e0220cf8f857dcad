"""The first screen of a study's report: does transfer pay, network by network.

Every network has an answer: of each start with pretrained weights against
random ones, with its interval, or that there is no such start.
"""

from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from transfusion_tf.models import registry
from transfusion_tf.study import decision
from transfusion_tf.study import display
from transfusion_tf.study import outcome as outcome_lib
from transfusion_tf.study import paired
from transfusion_tf.study import plan as plan_lib
from transfusion_tf.study import report
from transfusion_tf.study import statistics
from transfusion_tf.study.plots import effects as plots

TITLES = ('The answer', 'Which network to take')
_ANSWERS = {
  decision.HELPS: 'Yes, it helps',
  decision.HURTS: 'No, it hurts',
  decision.SAME: 'No difference that matters',
  decision.OPEN: 'Cannot be told yet',
  decision.NONE: 'No verdict',
}
_CAPTION = (
  'Test {0} of each start less that of random weights, with intervals of 95 % '
  'over patients and seeds. Within the gray band, ±{1:g}, a difference does '
  'not matter.'
)


def sections(
  outcome: outcome_lib.Outcome,
  decided: decision.Decision,
  sentences: Sequence[str],
  margin: float,
  comparer: paired.Comparer,
) -> Iterator[report.Section]:
  """Yield the answers, and the recommendation with a plot of differences.

  Args:
    outcome: The runs, finished or failed.
    decided: The decision.
    sentences: The recommendation.
    margin: The smallest difference in the test score that matters.
    comparer: Has read the scores of the runs.
  """
  if not outcome.results:
    yield report.Section(TITLES[0], sentences)
    return
  yield report.Section(
    TITLES[0], table=table(outcome, decided, comparer), cards=True
  )
  figure, caption = None, ''
  if decided.effects:
    metric = display.metric(outcome.results[0].primary_metric)
    figure = plots.plot(decided.effects, margin, metric)
    caption = _CAPTION.format(metric, margin)
  yield report.Section(
    TITLES[1], [' '.join(sentences)], figure=figure, caption=caption
  )


def table(
  outcome: outcome_lib.Outcome,
  decided: decision.Decision,
  comparer: paired.Comparer,
) -> pd.DataFrame:
  """Return a row for each network and start from all pretrained weights."""
  metric = display.metric(outcome.results[0].primary_metric)
  less = f'{metric} less that of random weights'
  rows = []
  for model, starts in _networks(outcome).items():
    effects = list(_whole(e for e in decided.effects if e.model == model))
    for effect in effects:
      rows.append(
        {
          'Network': registry.label(model),
          'Does transfer pay?': answer(effect),
          less: difference(effect.difference),
          'Start': display.start(effect.start).label,
          f'Test {metric}': _score(starts[effect.start], comparer),
          'Random weights': _score(starts[plan_lib.RANDOM], comparer),
        }
      )
    if not effects:
      rows.append(
        {
          'Network': registry.label(model),
          'Does transfer pay?': _unanswered(starts),
          'Random weights': _score(starts.get(plan_lib.RANDOM), comparer),
        }
      )
  return pd.DataFrame(rows).fillna('–')


def answer(effect: decision.Effect) -> str:
  """Return the answer of a start, and what keeps it from being one."""
  text = _ANSWERS[effect.verdict]
  if effect.verdict != decision.NONE:
    return text
  if effect.at_chance:
    return f'{text}: not better than chance'
  return f'{text}: still improving'


def difference(estimate: statistics.Estimate) -> str:
  """Return `+0.012 (-0.003 to +0.027)`; without seeds, only the value."""
  if not estimate.known:
    return f'{estimate.value:+.3f} (one seed: no interval)'
  return f'{estimate.value:+.3f} ({estimate.low:+.3f} to {estimate.high:+.3f})'


def _networks(outcome):
  """Return model -> start -> scored runs, of all networks of the study."""
  models = [run.experiment.model.name for run in outcome.results]
  models += [failure.model for failure in outcome.failures]
  return {model: outcome.runs.get(model, {}) for model in dict.fromkeys(models)}


def _whole(effects: Iterable[decision.Effect]) -> Iterator[decision.Effect]:
  """Yield the effects of full transfer; without any, all."""
  effects = list(effects)
  transfer = [e for e in effects if e.start.partition(':')[0] == 'transfer']
  yield from transfer or effects


def _unanswered(starts):
  if not starts:
    return 'No run is finished'
  if plan_lib.RANDOM not in starts:
    return 'Not trained from random weights'
  return 'No pretrained start'


def _score(seeds, comparer):
  return f'{comparer.difference([1], [seeds]).value:.3f}' if seeds else '–'

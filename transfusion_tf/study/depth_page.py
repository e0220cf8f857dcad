"""How far up pretrained weights pay: the starts that name a stage."""

from collections.abc import Iterator
import dataclasses

from transfusion_tf.models import registry
from transfusion_tf.study import display
from transfusion_tf.study import outcome as outcome_lib
from transfusion_tf.study import paired
from transfusion_tf.study import report
from transfusion_tf.study import starts as starts_lib
from transfusion_tf.study.plots import depth

_FEWEST = 2  # Stages of one series.
_CAPTION = (
  'Mean test score over seeds, with its 95 % interval over seeds and patients. '
  'Two scores are of the same patients, so that they may differ clearly where '
  'their intervals overlap: the differences from random weights are in the '
  'table of effects.'
)


def sections(
  outcome: outcome_lib.Outcome, comparer: paired.Comparer
) -> Iterator[report.Section]:
  """Yield a figure for each model with starts of at least two stages."""
  for model, starts in outcome.runs.items():
    series, references = _scores(starts, comparer)
    stages = outcome.stages.get(model, ())[:-1]
    if not stages or max(map(len, series.values()), default=0) < _FEWEST:
      continue
    first = next(iter(starts.values()))[0]
    yield report.Section(
      f'How far up does it pay in {registry.label(model)}?',
      figure=depth.plot(
        registry.label(model),
        stages,
        series,
        references,
        display.metric(first.primary_metric),
      ),
      caption=_CAPTION,
    )


def _scores(starts, comparer):
  """Return test scores of the starts with stages, and of those without.

  Returns:
    Name without the stage -> stage -> score, and name -> score.
  """
  series: dict[str, dict] = {}
  references = {}
  for name, seeds in starts.items():
    start = starts_lib.parse(name)
    score = comparer.difference([1], [seeds])
    if start.stage:
      whole = dataclasses.replace(start, stage='')
      series.setdefault(whole.name, {})[start.stage] = score
    else:
      references[name] = score
  return series, references

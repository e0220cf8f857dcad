"""Figures 6, 15 and 16: validation score over training steps, by scheme."""

from collections.abc import Mapping
from collections.abc import Sequence

from matplotlib import figure
import numpy as np

from transfusion_tf.paper import display
from transfusion_tf.paper import results


def plot(
  runs: Mapping[str, Sequence[results.Result]],
  threshold: float | None = None,
) -> figure.Figure:
  """Mean over seeds and, from two seeds on, the range between them.

  Args:
    runs: Scheme -> its runs, one a seed.
    threshold: A score to mark, with the step at which each mean reaches it.
  """
  fig = figure.Figure(figsize=(7, 4.2), layout='constrained')
  axes = fig.subplots()
  headline = ''
  for scheme, seeds in runs.items():
    style, headline = display.SCHEMES[scheme], seeds[0].headline
    steps, curves = _aligned(seeds, headline)
    mean = curves.mean(axis=0)
    axes.plot(
      steps,
      mean,
      linestyle=style.line,
      color=style.color,
      marker=style.marker,
      markersize=4,
      label=style.label,
    )
    if len(curves) > 1:
      axes.fill_between(
        steps,
        curves.min(axis=0),
        curves.max(axis=0),
        color=style.color,
        alpha=0.15,
        linewidth=0,
      )
  if threshold is not None:
    axes.axhline(threshold, color='0.5', linewidth=0.8)
    axes.annotate(
      f'{threshold:.2f}',
      (1, threshold),
      xycoords=('axes fraction', 'data'),
      xytext=(3, 0),
      textcoords='offset points',
      va='center',
      color='0.3',
    )
  axes.set_xlabel('training steps')
  axes.set_ylabel(f'validation {display.metric(headline)}')
  axes.legend(frameon=False)
  axes.spines[['top', 'right']].set_visible(False)
  return fig


def _aligned(seeds, headline):
  """Steps that all seeds evaluated, and [seeds, steps] scores at them."""
  shared = set.intersection(*(set(run.curve['step']) for run in seeds))
  steps = sorted(shared)
  curves = [run.curve.set_index('step')[headline][steps] for run in seeds]
  return np.array(steps), np.array(curves, float)

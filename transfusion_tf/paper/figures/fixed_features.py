"""Fixed features up to a stage: Figures 12 and 13."""

from collections.abc import Sequence

from matplotlib import axes as axes_lib
from matplotlib import figure

from transfusion_tf.models import registry
from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper import styles
from transfusion_tf.study import display
from transfusion_tf.study.plots import layout


def of_models(
  study: study_lib.Study,
  name: str,
  dataset: str,
  metrics: Sequence[str | None],
) -> figure.Figure:
  """Rows of their own for each network: test AUC by last frozen stage."""
  models = study.scale.fixed[name]
  fig, blocks = layout.blocks(len(models), len(metrics), size=(4.2, 3.4))
  for model, block in zip(models, blocks, strict=True):
    for axes, metric in zip(block, metrics, strict=True):
      layout.attempt(
        axes,
        lambda a=axes, m=model, x=metric: _draw(a, study, dataset, m, x),
      )
      axes.set_title(registry.label(model), fontsize=10)
  return fig


def _draw(
  axes: axes_lib.Axes, study: study_lib.Study, dataset, model, metric
) -> None:
  stages, drawn, gap = registry.stages(model), False, None
  for kind, groups in figure_specs.fixed(dataset, model).items():
    style, places, scores = styles.FIXED[kind], [], []
    for place, group in enumerate(groups):
      try:
        scores.append(study.test(group, metric))
        places.append(place)
      except study_lib.Gap as missing:
        gap = missing
    if places:
      drawn = True
      layout.band(axes, style, places, scores)
  if not drawn:
    raise gap
  axes.set_xticks(range(len(stages)), stages)
  axes.set_xlabel('fixed up to')
  axes.set_ylabel(f'test {display.metric(metric or "auc")}')
  layout.legend(axes)

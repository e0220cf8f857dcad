"""Fixed features up to a stage: Figures 12 and 13."""

from matplotlib import figure

from transfusion_tf.models import registry
from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper import styles
from transfusion_tf.study import display
from transfusion_tf.study import results
from transfusion_tf.study.plots import layout


def plot(study: study_lib.Study, name: str) -> figure.Figure:
  """Draw rows for each network: test AUC by last frozen stage."""
  metrics = study.scale.datasets[figure_specs.FIXED[name]].metrics
  models = study.scale.fixed[name]
  fig, blocks = layout.blocks(len(models), len(metrics), size=(4.2, 3.4))
  for model, block in zip(models, blocks, strict=True):
    for axes, metric in zip(block, metrics, strict=True):
      layout.attempt(axes, _draw, study, name, model, metric)
      axes.set_title(registry.label(model), fontsize=10)
  return fig


def _draw(axes, study, name, model, metric):
  groups = {
    (kind, place): group
    for kind, stages in figure_specs.fixed(name, model).items()
    for place, group in enumerate(stages)
  }
  scores, _ = results.collect(
    lambda key: study.test(groups[key], metric), groups
  )
  for kind in dict.fromkeys(kind for kind, _ in groups):
    style = styles.fixed(kind, groups[kind, 0].initialization)
    places = [place for scored, place in scores if scored == kind]
    if places:
      layout.band(axes, style, places, [scores[kind, x] for x in places])
  stages = registry.stages(model)
  axes.set_xticks(range(len(stages)), stages)
  axes.set_xlabel('fixed up to')
  axes.set_ylabel(f'test {display.metric(metric)}')
  layout.legend(axes)

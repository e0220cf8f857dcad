"""Figure 1: sample images of each data set."""

from matplotlib import figure

from transfusion_tf.paper import sample_images
from transfusion_tf.paper import study as study_lib
from transfusion_tf.study import results
from transfusion_tf.study.plots import layout


def plot(study: study_lib.Study) -> figure.Figure:
  """Return a row a data set."""
  datasets = [data.name for data in study.scale.datasets.values()]
  fig, grid = layout.grid(len(datasets), sample_images.NUM, size=(1.6, 1.75))
  for row, dataset in zip(grid, datasets, strict=True):
    for axes in row:
      axes.set_axis_off()
    layout.attempt(row, _draw, study, dataset)
  return fig


def _draw(row, study, dataset):
  samples = sample_images.read(study.roots, dataset)
  if not samples:
    raise results.MissingResultError(f'samples/{dataset}.npz: not made')
  for axes, (label, image) in zip(row, samples, strict=False):
    axes.imshow(image)
    axes.set_title(label, fontsize=7)

"""Figure 21: the synthetic Gabor bank."""

from matplotlib import figure
import numpy as np

from transfusion_tf.init import gabor
from transfusion_tf.paper import study as study_lib
from transfusion_tf.study.plots import layout


def plot(study: study_lib.Study) -> figure.Figure:
  """Return a row a frequency, a column an angle; gray is zero."""
  del study  # The bank is the same in every study.
  fig, axes = layout.single((9, 2.6))
  bank = gabor.bank().reshape(
    len(gabor.FREQUENCIES), gabor.NUM_ANGLES, gabor.SIZE, gabor.SIZE
  )
  framed = np.pad(
    bank, ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=np.nan
  )
  picture = np.block([list(row) for row in framed])
  limit = np.abs(bank).max()
  axes.imshow(picture, cmap='gray', vmin=-limit, vmax=limit)
  side = gabor.SIZE + 1
  axes.set_yticks(
    np.arange(len(gabor.FREQUENCIES)) * side + gabor.SIZE / 2,
    [f'{frequency:.2f}' for frequency in gabor.FREQUENCIES],
  )
  axes.set_ylabel('frequency')
  angles = range(0, gabor.NUM_ANGLES, 4)
  axes.set_xticks(
    [n * side + gabor.SIZE / 2 - 0.5 for n in angles],
    [f'{180 * n / gabor.NUM_ANGLES:.0f}°' for n in angles],
  )
  axes.set_xlabel('angle')
  axes.spines[:].set_visible(False)
  return fig

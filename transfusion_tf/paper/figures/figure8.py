"""Figure 8: hybrids of transfer and random weights."""

from matplotlib import figure

from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper.figures import convergence


def plot(study: study_lib.Study) -> figure.Figure:
  """ResNet-50, and CBR-LargeW with Gabor filters."""
  return convergence.of_panels(study, 'figure8')

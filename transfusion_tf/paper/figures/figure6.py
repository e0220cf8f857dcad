"""Figure 6: convergence from random weights, Mean Var and transfer."""

from matplotlib import figure

from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper.figures import convergence


def plot(study: study_lib.Study) -> figure.Figure:
  """RETINA with two networks, Consolidation with ResNet-50."""
  return convergence.of_panels(study, 'figure6')

"""Figure 20: the half-width network from random weights."""

from matplotlib import figure

from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper.figures import convergence


def plot(study: study_lib.Study) -> figure.Figure:
  """Against the hybrid and the whole network."""
  return convergence.of_panels(study, 'figure20')

"""Figure 15: convergence of the CBR networks."""

from matplotlib import figure

from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper.figures import convergence


def plot(study: study_lib.Study) -> figure.Figure:
  """CBR-LargeW, CBR-Small and CBR-Tiny on RETINA."""
  return convergence.of_panels(study, 'figure15')

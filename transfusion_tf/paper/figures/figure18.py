"""Figure 18: Mean Var, sampling and shuffling."""

from matplotlib import figure

from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper.figures import convergence


def plot(study: study_lib.Study) -> figure.Figure:
  """The three ways of resampling; random and transfer beside them."""
  return convergence.of_panels(study, 'figure18')

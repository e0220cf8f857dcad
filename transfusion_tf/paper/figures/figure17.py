"""Figure 17: batch norm under Mean Var."""

from matplotlib import figure

from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper.figures import convergence


def plot(study: study_lib.Study) -> figure.Figure:
  """Identity, resampled and copied; random and transfer beside them."""
  return convergence.of_panels(study, 'figure17')

"""Figure 7: weight transfusion into ResNet-50."""

from matplotlib import figure

from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper.figures import transfusion


def plot(study: study_lib.Study) -> figure.Figure:
  """Curves, and steps to the paper's mark."""
  return transfusion.of_panels(study, 'figure7')

"""Figure 16: convergence on five findings."""

from matplotlib import figure

from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper.figures import convergence


def plot(study: study_lib.Study) -> figure.Figure:
  """ResNet-50 on CheXpert, a pair of axes a finding."""
  return convergence.of_panels(study, 'figure16')

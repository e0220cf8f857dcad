"""Figure 9: conv1 of CBR-Small, CheXpert."""

from matplotlib import figure

from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper.figures import filters


def plot(study: study_lib.Study) -> figure.Figure:
  """Filters before and after training, from both starts."""
  return filters.of_panels(study, 'figure9')

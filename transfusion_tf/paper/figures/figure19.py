"""Figure 19: weight transfusion into a large and a small network."""

from matplotlib import figure

from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper.figures import transfusion


def plot(study: study_lib.Study) -> figure.Figure:
  """ResNet-50 and CBR-LargeW."""
  return transfusion.of_panels(study, 'figure19')

"""Figure 12: fixed features on RETINA."""

from matplotlib import figure

from transfusion_tf.paper import contents
from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper.figures import fixed_features


def plot(study: study_lib.Study) -> figure.Figure:
  """Test AUC by last frozen stage, a row a network."""
  return fixed_features.of_models(study, 'figure12', contents.RETINA, [None])

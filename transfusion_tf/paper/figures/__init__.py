"""The paper's figures, each a function: study -> matplotlib Figure.

A module figureN draws that figure; panels, filter_panels, transfusion and
fixed_features draw several figures each, as `figure_specs` describes them. To
add a figure, add its line here and its panels there.
"""

from collections.abc import Callable
import functools

from matplotlib import figure

from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper.figures import figure1
from transfusion_tf.paper.figures import figure2
from transfusion_tf.paper.figures import figure3
from transfusion_tf.paper.figures import figure4
from transfusion_tf.paper.figures import figure11
from transfusion_tf.paper.figures import figure14
from transfusion_tf.paper.figures import figure21
from transfusion_tf.paper.figures import filter_panels
from transfusion_tf.paper.figures import fixed_features
from transfusion_tf.paper.figures import panels
from transfusion_tf.paper.figures import transfusion

FIGURES: dict[str, Callable[[study_lib.Study], figure.Figure]] = {
  'figure1': figure1.plot,
  'figure2': figure2.plot,
  'figure3': figure3.plot,
  'figure4': figure4.plot,
  'figure5': functools.partial(filter_panels.plot, name='figure5'),
  'figure6': functools.partial(panels.plot, name='figure6'),
  'figure7': functools.partial(transfusion.plot, name='figure7'),
  'figure8': functools.partial(panels.plot, name='figure8'),
  'figure9': functools.partial(filter_panels.plot, name='figure9'),
  'figure10': functools.partial(filter_panels.plot, name='figure10'),
  'figure11': figure11.plot,
  'figure12': functools.partial(fixed_features.plot, name='figure12'),
  'figure13': functools.partial(fixed_features.plot, name='figure13'),
  'figure14': figure14.plot,
  'figure15': functools.partial(panels.plot, name='figure15'),
  'figure16': functools.partial(panels.plot, name='figure16'),
  'figure17': functools.partial(panels.plot, name='figure17'),
  'figure18': functools.partial(panels.plot, name='figure18'),
  'figure19': functools.partial(transfusion.plot, name='figure19'),
  'figure20': functools.partial(panels.plot, name='figure20'),
  'figure21': figure21.plot,
}

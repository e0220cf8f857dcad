"""One module a figure, each with `plot(study) -> matplotlib Figure`.

figure1 ... figure21 are the paper's; convergence, filters, transfusion and
fixed_features draw what several of them share, layout what all do.
"""

from collections.abc import Callable
import importlib

from matplotlib import figure

NAMES = tuple(f'figure{n}' for n in range(1, 22))


def plotter(name: str) -> Callable[..., figure.Figure]:
  """The `plot` of `figure1` ... `figure21`."""
  return importlib.import_module(f'{__name__}.{name}').plot

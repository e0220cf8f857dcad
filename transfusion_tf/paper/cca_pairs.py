"""Which networks are compared by CCA, for Table 5 and Figures 2 to 4."""

from collections.abc import Callable
import dataclasses
import itertools

from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import initializations
from transfusion_tf.paper import scales

INIT, FINAL = 'init', 'final'
LAYERS, DOTS = 'layers', 'dots'  # Uses of `Scale.sampling`.


@dataclasses.dataclass(frozen=True)
class Network:
  """One seed of a group, at one of its checkpoints."""

  start: initializations.Start
  seed: int
  checkpoint: str = FINAL

  @property
  def name(self) -> str:
    return f'{self.start.name}{self.seed}_{self.checkpoint}'


@dataclasses.dataclass(frozen=True)
class Comparison:
  """Two networks of the same kind on the same images.

  Attributes:
    model: Their kind; all are trained on RETINA.
    a: One.
    b: The other.
    use: Which sampling.
  """

  model: str
  a: Network
  b: Network
  use: str = LAYERS

  @property
  def key(self) -> str:
    """Path below OUTPUT_DIR/similarity, without its ending."""
    pair = f'{self.a.name}--{self.b.name}'
    return f'{figure_specs.RETINA}/{self.model}/{self.use}/{pair}'

  def group(self, network: Network) -> figure_specs.Group:
    """Return the group that a network is a seed of."""
    return figure_specs.Group(figure_specs.RETINA, self.model, network.start)


def same_start(
  scale: scales.Scale,
  model: str,
  start: initializations.Start,
  use=LAYERS,
  at=FINAL,
) -> list[Comparison]:
  """Every two seeds of a start."""
  return [
    Comparison(model, Network(start, i, at), Network(start, j, at), use)
    for i, j in itertools.combinations(range(_seeds(scale, model, start)), 2)
  ]


def across(
  scale: scales.Scale, model: str, use=LAYERS, at=FINAL
) -> list[Comparison]:
  """Transfer against random weights, seed by seed."""
  count = min(_seeds(scale, model, start) for start in figure_specs.BOTH)
  return [
    Comparison(
      model,
      Network(initializations.TRANSFER, seed, at),
      Network(initializations.RANDOM, seed, at),
      use,
    )
    for seed in range(count)
  ]


def movement(
  scale: scales.Scale, model: str, start: initializations.Start
) -> list[Comparison]:
  """Each seed before and after training."""
  return [
    Comparison(model, Network(start, seed, INIT), Network(start, seed, FINAL))
    for seed in range(_seeds(scale, model, start))
  ]


def _seeds(scale, model, start):
  return figure_specs.repeats(scale)[
    figure_specs.Group(figure_specs.RETINA, model, start)
  ]


def _table5(scale):
  return [
    c
    for model in figure_specs.CCA_MODELS
    for start in figure_specs.BOTH
    for c in same_start(scale, model, start)
  ]


def _figure2(scale):
  return [
    c
    for model in figure_specs.ALL_MODELS
    for c in (
      *same_start(scale, model, initializations.RANDOM),
      *across(scale, model),
    )
  ]


def _figure3(scale):
  return [
    c
    for model in figure_specs.ALL_MODELS
    for start in figure_specs.BOTH
    for c in movement(scale, model, start)
  ]


def _figure4(scale):
  return [
    c
    for model in figure_specs.CCA_MODELS
    for at in (INIT, FINAL)
    for c in (
      *same_start(scale, model, initializations.RANDOM, DOTS, at),
      *across(scale, model, DOTS, at),
    )
  ]


TARGETS: dict[str, Callable[[scales.Scale], list[Comparison]]] = {
  'table5': _table5,
  'figure2': _figure2,
  'figure3': _figure3,
  'figure4': _figure4,
}


def wanted(targets, scale: scales.Scale) -> list[Comparison]:
  """Return the comparisons that targets need, each once."""
  made = (c for t in targets if t in TARGETS for c in TARGETS[t](scale))
  return list(dict.fromkeys(made))

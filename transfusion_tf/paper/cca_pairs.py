"""The networks that are compared by CCA, for Table 5 and Figures 2 to 4."""

from collections.abc import Callable, Iterable
import dataclasses
import itertools

from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import initializations as init_lib
from transfusion_tf.paper import scales

INIT, FINAL = 'init', 'final'
LAYERS, DOTS = 'layers', 'dots'  # Uses of `Scale.sampling`.
# Figures 2 and 4: two networks from random weights, or one from pretrained.
RANDOM, ACROSS = KINDS = 'random and random', 'pretrained and random'


@dataclasses.dataclass(frozen=True)
class Network:
  """One seed of a group, at one of its checkpoints."""

  initialization: init_lib.Initialization
  seed: int
  checkpoint: str = FINAL

  @property
  def name(self) -> str:
    return f'{self.initialization.name}{self.seed}_{self.checkpoint}'


@dataclasses.dataclass(frozen=True)
class Comparison:
  """Two networks of the same architecture on the same images.

  Attributes:
    model: The architecture; all are trained on RETINA.
    a: One network.
    b: The other.
    use: Use of `Scale.sampling`.
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
    return figure_specs.Group(
      figure_specs.RETINA, self.model, network.initialization
    )


def same(
  scale: scales.Scale,
  model: str,
  init: init_lib.Initialization,
  use: str = LAYERS,
  at: str = FINAL,
) -> list[Comparison]:
  """Return every two seeds of an initialization."""
  return [
    Comparison(model, Network(init, i, at), Network(init, j, at), use)
    for i, j in itertools.combinations(_seeds(scale, model, init), 2)
  ]


def of_kind(
  scale: scales.Scale, model: str, kind: str, use: str = LAYERS, at: str = FINAL
) -> list[Comparison]:
  """Return every two seeds from random weights, or transfer against random."""
  if kind == RANDOM:
    return same(scale, model, init_lib.RANDOM, use, at)
  random, transfer = (
    [Network(init, seed, at) for seed in _seeds(scale, model, init)]
    for init in figure_specs.BOTH
  )
  pairs = zip(transfer, random, strict=False)
  return [Comparison(model, *pair, use) for pair in pairs]


def movement(
  scale: scales.Scale, model: str, init: init_lib.Initialization
) -> list[Comparison]:
  """Return each seed before and after training."""
  return [
    Comparison(model, Network(init, seed, INIT), Network(init, seed, FINAL))
    for seed in _seeds(scale, model, init)
  ]


def _seeds(scale, model, init):
  group = figure_specs.Group(figure_specs.RETINA, model, init)
  return range(figure_specs.repeats(scale)[group])


_TARGETS: dict[str, Callable[[scales.Scale], list[list[Comparison]]]] = {
  'table5': lambda scale: [
    same(scale, model, init)
    for model in figure_specs.CCA_MODELS
    for init in figure_specs.BOTH
  ],
  'figure2': lambda scale: [
    of_kind(scale, model, kind)
    for model in figure_specs.ALL_MODELS
    for kind in KINDS
  ],
  'figure3': lambda scale: [
    movement(scale, model, init)
    for model in figure_specs.ALL_MODELS
    for init in figure_specs.BOTH
  ],
  'figure4': lambda scale: [
    of_kind(scale, model, kind, DOTS, at)
    for model in figure_specs.CCA_MODELS
    for at in (INIT, FINAL)
    for kind in KINDS
  ],
}


def required(targets: Iterable[str], scale: scales.Scale) -> list[Comparison]:
  """Return the comparisons that targets need, each once."""
  lists = [
    part for t in targets if t in _TARGETS for part in _TARGETS[t](scale)
  ]
  return list(dict.fromkeys(itertools.chain(*lists)))

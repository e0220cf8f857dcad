"""The groups of runs that each table and figure shows.

Tables, figures, claims and the list of runs all read this description.
"""

from collections.abc import Callable, Iterable
import dataclasses
import itertools

from transfusion_tf.models import registry
from transfusion_tf.paper import initializations as init_lib
from transfusion_tf.paper import scales

RETINA, CHEXPERT = 'retina', 'chexpert'
CBR = ('cbr_large_t', 'cbr_large_w', 'cbr_small', 'cbr_tiny')
ALL_MODELS = ('resnet50', 'inception_v3', *CBR)  # Table 1.
TABLE2_MODELS = ('resnet50', *CBR)
SMALL_DATA_MODELS = ('resnet50', 'cbr_large_t', 'cbr_large_w')  # Table 3.
CCA_MODELS = ('resnet50', 'cbr_small')  # Table 5, Figure 4.
BOTH = (init_lib.RANDOM, init_lib.TRANSFER)
SPEEDS = (init_lib.RANDOM, init_lib.MEAN_VAR, init_lib.TRANSFER)
BATCH_NORMS = (
  init_lib.MEAN_VAR,
  init_lib.MEAN_VAR_BN_MEAN_VAR,
  init_lib.MEAN_VAR_BN_TRANSFER,
)
RESAMPLINGS = (init_lib.MEAN_VAR, init_lib.SAMPLING, init_lib.SHUFFLED)
HYBRIDS = {  # Figure 8.
  'resnet50': (
    init_lib.RANDOM,
    init_lib.up_to('resnet50', 'conv1'),
    init_lib.GABOR,
    init_lib.SLIM,
    init_lib.TRANSFER,
  ),
  'cbr_large_w': (
    init_lib.RANDOM,
    init_lib.up_to('cbr_large_w', 'conv1'),
    init_lib.GABOR,
    init_lib.TRANSFER,
  ),
}


@dataclasses.dataclass(frozen=True)
class Group:
  """Runs that differ in their seed alone.

  Attributes:
    dataset: Data set.
    model: Network.
    initialization: Initialization.
    images: Training images as the paper counts them; 0 is all.
  """

  dataset: str
  model: str
  initialization: init_lib.Initialization
  images: int = 0


@dataclasses.dataclass(frozen=True)
class Panel:
  """Groups in one pair of axes.

  Attributes:
    groups: The groups to compare.
    metric: The metric; the primary_metric of the data set if None.
  """

  groups: tuple[Group, ...]
  metric: str | None = None


def make_groups(
  dataset: str,
  models: Iterable[str],
  inits: Iterable[init_lib.Initialization],
  images: int = 0,
) -> list[Group]:
  """Return a group for each model and initialization."""
  return [
    Group(dataset, *pair, images) for pair in itertools.product(models, inits)
  ]


def retina(
  model: str, *inits: init_lib.Initialization, images: int = 0
) -> list[Group]:
  """Return a group of RETINA for each initialization."""
  return make_groups(RETINA, [model], inits, images)


def make_panel(
  dataset: str,
  model: str,
  inits: Iterable[init_lib.Initialization],
  metric: str | None = None,
) -> Panel:
  """Return a panel of one network from several initializations."""
  return Panel(tuple(make_groups(dataset, [model], inits)), metric)


# Table 4's rows, and the amounts of data that have a cell.
_AMOUNTS = (5_000, 10_000, 50_000, 100_000)
TABLE4 = (
  ('resnet50', init_lib.TRANSFER, _AMOUNTS),
  ('resnet50', init_lib.RANDOM, _AMOUNTS),
  *((m, s, _AMOUNTS[:1]) for m in CBR[:2] for s in BOTH),
  ('resnet50', init_lib.up_to('resnet50', 'conv1'), _AMOUNTS[:1]),
  ('resnet50', init_lib.MEAN_VAR, _AMOUNTS[1:]),
)


# The figures of fixed features.
FIXED = {'figure12': RETINA, 'figure13': CHEXPERT}


def fixed(figure: str, model: str) -> dict[str, list[Group]]:
  """Return kind of fixed features -> a group for each stage."""
  stages = [init_lib.fixed(model, s) for s in registry.stages(model)]
  return {
    kind: [Group(FIXED[figure], model, inits[kind]) for inits in stages]
    for kind in stages[0]
  }


# The figures of curves, filters or transfused stages: name -> panels.
PANELS: dict[str, Callable[[scales.Scale], list[Panel]]] = {
  'figure5': lambda _: [make_panel(RETINA, m, BOTH) for m in CCA_MODELS],
  'figure6': lambda scale: [
    make_panel(RETINA, 'resnet50', SPEEDS),
    make_panel(RETINA, 'cbr_large_t', SPEEDS),
    make_panel(CHEXPERT, 'resnet50', SPEEDS, scale.finding),
  ],
  'figure7': lambda _: [
    make_panel(RETINA, 'resnet50', init_lib.transfusions('resnet50'))
  ],
  'figure8': lambda _: [
    make_panel(RETINA, m, inits) for m, inits in HYBRIDS.items()
  ],
  'figure9': lambda _: [make_panel(CHEXPERT, 'cbr_small', BOTH)],
  'figure10': lambda _: [make_panel(CHEXPERT, 'resnet50', BOTH)],
  'figure14': lambda scale: [make_panel(RETINA, scale.ablation_model, SPEEDS)],
  'figure15': lambda _: [make_panel(RETINA, m, SPEEDS) for m in CBR[1:]],
  'figure16': lambda scale: [
    make_panel(CHEXPERT, 'resnet50', SPEEDS, finding)
    for finding in scale.datasets[CHEXPERT].metrics
  ],
  'figure17': lambda scale: [
    make_panel(RETINA, scale.ablation_model, (*BOTH, *BATCH_NORMS))
  ],
  'figure18': lambda scale: [
    make_panel(RETINA, scale.ablation_model, (*BOTH, *RESAMPLINGS))
  ],
  'figure19': lambda _: [
    make_panel(RETINA, m, init_lib.transfusions(m))
    for m in ('resnet50', 'cbr_large_w')
  ],
  'figure20': lambda _: [
    make_panel(RETINA, 'resnet50', (init_lib.SLIM_RANDOM, init_lib.SLIM, *BOTH))
  ],
}


def _fixed_groups(figure):
  return lambda scale: [
    group
    for model in scale.fixed[figure]
    for groups in fixed(figure, model).values()
    for group in groups
  ]


# The other targets: name -> groups.
_GROUPS: dict[str, Callable[[scales.Scale], list[Group]]] = {
  'table1': lambda _: make_groups(RETINA, ALL_MODELS, BOTH),
  'table2': lambda _: make_groups(CHEXPERT, TABLE2_MODELS, BOTH),
  'table3': lambda _: make_groups(RETINA, SMALL_DATA_MODELS, BOTH, _AMOUNTS[0]),
  'table4': lambda scale: [
    Group(RETINA, model, init, images)
    for model, init, amounts in TABLE4
    for images in amounts
    if images in scale.subsets
  ],
  'table5': lambda _: make_groups(RETINA, CCA_MODELS, BOTH),
  'figure1': lambda _: [],
  'figure2': lambda _: make_groups(RETINA, ALL_MODELS, BOTH),
  'figure3': lambda _: make_groups(RETINA, ALL_MODELS, BOTH),
  'figure4': lambda _: make_groups(RETINA, CCA_MODELS, BOTH),
  'figure11': lambda _: [],
  **{figure: _fixed_groups(figure) for figure in FIXED},
  'figure21': lambda _: [],
}


def _number(target):
  """Return the place of a target: tables before figures, by number."""
  return target.startswith('figure'), int(target.strip('tablefigur'))


def targets() -> tuple[str, ...]:
  """Return the names of all tables and figures, tables first."""
  return tuple(sorted({*_GROUPS, *PANELS}, key=_number))


def groups_of(target: str, scale: scales.Scale) -> list[Group]:
  """Return the groups of runs that a table or figure shows."""
  if target in PANELS:
    return [g for panel in PANELS[target](scale) for g in panel.groups]
  return _GROUPS[target](scale)


def repeats(
  scale: scales.Scale, names: Iterable[str] | None = None
) -> dict[Group, int]:
  """Return group -> number of seeds, the largest that any target asks for.

  Args:
    scale: The scale.
    names: The targets; all if None.
  """
  counts: dict[Group, int] = {}
  for target in targets() if names is None else names:
    for group in groups_of(target, scale):
      # Figure 17's five repeats are of its own initializations; random and
      # transfer are there for reference.
      reference = target == 'figure17' and group.initialization in BOTH
      count = scale.repeats('table1' if reference else target)
      counts[group] = max(counts.get(group, 0), count)
  return counts

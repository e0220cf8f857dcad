"""What each table and figure shows: groups of runs, and comparisons of them.

Tables, figures, claims and the list of runs all read this one description.
"""

from collections.abc import Callable, Iterable
import dataclasses
import itertools

from transfusion_tf import config
from transfusion_tf.models import registry
from transfusion_tf.paper import initializations
from transfusion_tf.paper import scales

RETINA, CHEXPERT = 'retina', 'chexpert'
CBR = ('cbr_large_t', 'cbr_large_w', 'cbr_small', 'cbr_tiny')
ALL_MODELS = ('resnet50', 'inception_v3', *CBR)  # Table 1.
TABLE2_MODELS = ('resnet50', *CBR)
SMALL_DATA_MODELS = ('resnet50', 'cbr_large_t', 'cbr_large_w')  # Table 3.
CCA_MODELS = ('resnet50', 'cbr_small')  # Table 5, Figure 4.
FINDINGS = config.CHEXPERT_FINDINGS
BOTH = (initializations.RANDOM, initializations.TRANSFER)
SPEEDS = (
  initializations.RANDOM,
  initializations.MEAN_VAR,
  initializations.TRANSFER,
)
BATCH_NORMS = (
  initializations.MEAN_VAR,
  initializations.MEAN_VAR_BN_MEAN_VAR,
  initializations.MEAN_VAR_BN_TRANSFER,
)
RESAMPLINGS = (
  initializations.MEAN_VAR,
  initializations.SAMPLING,
  initializations.SHUFFLED,
)
HYBRIDS = {  # Figure 8.
  'resnet50': (
    initializations.RANDOM,
    initializations.up_to('resnet50', 'conv1'),
    initializations.GABOR,
    initializations.SLIM,
    initializations.TRANSFER,
  ),
  'cbr_large_w': (
    initializations.RANDOM,
    initializations.up_to('cbr_large_w', 'conv1'),
    initializations.GABOR,
    initializations.TRANSFER,
  ),
}


@dataclasses.dataclass(frozen=True)
class Group:
  """Runs that differ in their seed alone.

  Attributes:
    dataset: Data set.
    model: Network.
    start: How it starts.
    images: Training images as the paper counts them; 0 is all.
  """

  dataset: str
  model: str
  start: initializations.Start
  images: int = 0


@dataclasses.dataclass(frozen=True)
class Panel:
  """Groups in one pair of axes.

  Attributes:
    groups: What is compared.
    metric: The metric; the primary_metric of the data set if None.
  """

  groups: tuple[Group, ...]
  metric: str | None = None


def panel(dataset, model, of, metric=None) -> Panel:
  return Panel(tuple(Group(dataset, model, start) for start in of), metric)


# Table 4's rows, and the amounts of data that have a cell.
_AMOUNTS = (5_000, 10_000, 50_000, 100_000)
TABLE4 = (
  ('resnet50', initializations.TRANSFER, _AMOUNTS),
  ('resnet50', initializations.RANDOM, _AMOUNTS),
  *((m, s, _AMOUNTS[:1]) for m in CBR[:2] for s in BOTH),
  ('resnet50', initializations.up_to('resnet50', 'conv1'), _AMOUNTS[:1]),
  ('resnet50', initializations.MEAN_VAR, _AMOUNTS[1:]),
)


def fixed(dataset: str, model: str) -> dict[str, list[Group]]:
  """Figures 12 and 13: kind of fixed features -> a group for each stage."""
  kinds = {
    'imagenet': initializations.fixed_imagenet,
    'transfused': lambda stage: initializations.fixed_transfused(model, stage),
    'random': initializations.fixed_random,
  }
  return {
    kind: [Group(dataset, model, of(s)) for s in registry.stages(model)]
    for kind, of in kinds.items()
  }


def panels(figure: str, scale: scales.Scale) -> list[Panel]:
  """Return the panels of a figure of curves, filters or transfused stages."""
  probe = scale.probe
  made = {
    'figure5': [panel(RETINA, m, BOTH) for m in CCA_MODELS],
    'figure6': [
      panel(RETINA, 'resnet50', SPEEDS),
      panel(RETINA, 'cbr_large_t', SPEEDS),
      panel(CHEXPERT, 'resnet50', SPEEDS, 'Consolidation'),
    ],
    'figure7': [
      panel(RETINA, 'resnet50', initializations.transfusions('resnet50'))
    ],
    'figure8': [panel(RETINA, m, of) for m, of in HYBRIDS.items()],
    'figure9': [panel(CHEXPERT, 'cbr_small', BOTH)],
    'figure10': [panel(CHEXPERT, 'resnet50', BOTH)],
    'figure14': [panel(RETINA, probe, SPEEDS)],
    'figure15': [panel(RETINA, m, SPEEDS) for m in CBR[1:]],
    'figure16': [panel(CHEXPERT, 'resnet50', SPEEDS, f) for f in FINDINGS],
    'figure17': [panel(RETINA, probe, (*BOTH, *BATCH_NORMS))],
    'figure18': [panel(RETINA, probe, (*BOTH, *RESAMPLINGS))],
    'figure19': [
      panel(RETINA, m, initializations.transfusions(m))
      for m in ('resnet50', 'cbr_large_w')
    ],
    'figure20': [
      panel(
        RETINA,
        'resnet50',
        (initializations.SLIM_RANDOM, initializations.SLIM, *BOTH),
      )
    ],
  }
  return made[figure]


def _product(dataset, models, of, images=0):
  return [
    Group(dataset, *pair, images) for pair in itertools.product(models, of)
  ]


def _fixed_groups(figure, dataset):
  return lambda scale: [
    group
    for model in scale.fixed[figure]
    for groups in fixed(dataset, model).values()
    for group in groups
  ]


def _panel_groups(figure):
  return lambda scale: [g for p in panels(figure, scale) for g in p.groups]


_PANELS = (5, 6, 7, 8, 9, 10, 14, 15, 16, 17, 18, 19, 20)
GROUPS: dict[str, Callable[[scales.Scale], list[Group]]] = {
  'table1': lambda _: _product(RETINA, ALL_MODELS, BOTH),
  'table2': lambda _: _product(CHEXPERT, TABLE2_MODELS, BOTH),
  'table3': lambda _: _product(RETINA, SMALL_DATA_MODELS, BOTH, _AMOUNTS[0]),
  'table4': lambda scale: [
    Group(RETINA, model, start, images)
    for model, start, amounts in TABLE4
    for images in amounts
    if images in scale.subsets
  ],
  'table5': lambda _: _product(RETINA, CCA_MODELS, BOTH),
  'figure1': lambda _: [],
  'figure2': lambda _: _product(RETINA, ALL_MODELS, BOTH),
  'figure3': lambda _: _product(RETINA, ALL_MODELS, BOTH),
  'figure4': lambda _: _product(RETINA, CCA_MODELS, BOTH),
  **{f'figure{n}': _panel_groups(f'figure{n}') for n in _PANELS},
  'figure11': lambda _: [],
  'figure12': _fixed_groups('figure12', RETINA),
  'figure13': _fixed_groups('figure13', CHEXPERT),
  'figure21': lambda _: [],
}


def _number(target):
  return target.startswith('figure'), int(target.strip('tablefigur'))


TARGETS = tuple(sorted(GROUPS, key=_number))


def repeats(
  scale: scales.Scale, targets: Iterable[str] = TARGETS
) -> dict[Group, int]:
  """Group -> seeds: the most that any target asks for, whichever is made."""
  wanted = {}
  for target in targets:
    for group in GROUPS[target](scale):
      # Figure 17's five repeats are of its own starts; random and transfer
      # stand beside them for reference.
      reference = target == 'figure17' and group.start in BOTH
      count = scale.repeats('table1' if reference else target)
      wanted[group] = max(wanted.get(group, 0), count)
  return wanted

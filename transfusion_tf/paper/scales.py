"""The scales of a study: the paper's, and three for two CPU cores."""

from collections.abc import Mapping
import dataclasses
from typing import Any

from transfusion_tf import config
from transfusion_tf import errors


@dataclasses.dataclass(frozen=True)
class DataSet:
  """A data set in the place of one of the paper's.

  Attributes:
    recipe: Name in `config.RECIPES`.
    label: Its name in tables and figures.
    metrics: The metrics that tables show.
  """

  recipe: str
  label: str
  metrics: tuple[str, ...]

  @property
  def name(self) -> str:
    """The name of the prepared set, and of the folder of its runs."""
    return config.RECIPES[self.recipe].data.dataset


@dataclasses.dataclass(frozen=True)
class Scale:
  """The settings that differ between the paper's study and a smaller one.

  Attributes:
    name: Its name.
    summary: Text of the report on what was reduced.
    datasets: The paper's data set -> the one in its place.
    pretraining: The one of them that weights are transferred from.
    changes: Dotted fields for every run.
    model_changes: Model -> more of them.
    dataset_changes: The paper's data set -> model -> more of them.
    subsets: Training images as the paper counts them -> as this scale does;
      Table 4 leaves out the others.
    seeds: Target -> repeats; `default` for the others, `pretraining` for
      Table 1's column of accuracies.
    ablation_model: The network of Figures 14, 17 and 18, which the paper leaves
      open.
    fixed: The networks of Figures 12 and 13.
    weights: Model -> weights file below the study's folder, instead of own
      pretraining.
    published: Recipe that scores these weights on the pretraining data.
    accuracy: Title of Table 1's column of accuracies on these data.
    accuracy_note: What they are, if not the paper's.
    sampling: Use -> `analysis.sampling.Sampling` of similarities: `layers`
      for Table 5 and Figures 2 and 3, `dots` for Figure 4.
    finding: The metric of Figure 6's panel of CheXpert.
    target_auc: AUC of Figures 7 and 19; 0 is the highest that all runs reach.
    num_validation: Data set -> its validation images.
  """

  name: str
  summary: str
  datasets: Mapping[str, DataSet]
  pretraining: str
  seeds: Mapping[str, int]
  subsets: Mapping[int, int]
  sampling: Mapping[str, Mapping[str, int]]
  ablation_model: str
  fixed: Mapping[str, tuple[str, ...]]
  changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  model_changes: Mapping[str, Mapping[str, Any]] = dataclasses.field(
    default_factory=dict
  )
  dataset_changes: Mapping[str, Mapping[str, Mapping[str, Any]]] = (
    dataclasses.field(default_factory=dict)
  )
  weights: Mapping[str, str] = dataclasses.field(default_factory=dict)
  published: str = ''
  accuracy: str = 'ImageNet top-5'
  accuracy_note: str = ''
  finding: str = 'Consolidation'
  target_auc: float = 0.0
  num_validation: Mapping[str, int] = dataclasses.field(default_factory=dict)

  def repeats(self, target: str) -> int:
    return self.seeds.get(target, self.seeds['default'])


# Tables 1 and 2 and Figure 18 state three repeats, Figure 17 five.
PAPER = Scale(
  name='paper',
  summary='The settings of the paper.',
  datasets={
    'retina': DataSet('retina', 'RETINA', ('referable',)),
    'chexpert': DataSet('chexpert', 'CheXpert', config.CHEXPERT_FINDINGS),
    'imagenet2012': DataSet('imagenet2012', 'ImageNet', ('top5',)),
  },
  pretraining='imagenet2012',
  seeds={'default': 3, 'figure17': 5, 'pretraining': 3},
  subsets={n: n for n in (5_000, 10_000, 50_000, 100_000)},
  # Appendix C gives no figures.
  sampling={
    'layers': {'num_patches': 20_000, 'num_channels': 64, 'repeats': 5},
    'dots': {'num_patches': 20_000, 'num_channels': 32, 'repeats': 20},
  },
  ablation_model='resnet50',
  fixed={
    'figure12': ('resnet50', 'cbr_large_t', 'cbr_tiny'),
    'figure13': ('cbr_large_t', 'cbr_tiny'),
  },
  weights={'inception_v3': 'weights/inception_v3.npz'},  # Section 3.
  published='imagenet2012_published',
  target_auc=0.91,  # Figure 7.
  # A tenth of the training patients; the paper names no validation images.
  num_validation={
    'retina': 25_000,
    'chexpert': 22_300,
    'imagenet2012': 50_000,
  },
)


def _steps(size: int, steps: int, evaluations: int) -> dict[str, Any]:
  # The one checkpoint at the end keeps the disk small.
  return {
    'data.image_size': size,
    'train.train_steps': steps,
    'train.eval_every': steps // evaluations,
    'runtime.checkpoint_every': steps,
  }


# What Figures 2 to 8, 12, 15, 17 and 18 and Tables 1, 3 and 5 do not need is
# run once.
_ONCE = (
  *('table2', 'table4', 'figure9', 'figure10', 'figure13', 'figure16'),
  *('figure14', 'figure19', 'figure20', 'pretraining'),
)

_SUMMARY = (
  'Made-up data in the real layouts: fundus photographs from one real '
  'photograph with drawn lesions at three times their size (--lesion_size=3), '
  'drawn chest x-rays, crops of sixteen natural photographs and textures for '
  'ImageNet. Images of {size} px (36 px for ResNet-50; 80 px for Inception-v3, '
  'which takes 75 or more); {steps}; the numbers of images that the paper '
  'counts as {subsets}. Figures 12, 13, 14, 17 and 18 use CBR-Tiny. It shows '
  'that the machinery works, and says nothing about medicine.'
)

DEMO = Scale(
  name='demo',
  summary=_SUMMARY.format(
    size=32,
    steps='40 to 80 steps of 16 images, for ResNet-50 72 of 24',
    subsets='5000 to 100 000 are 60 to 300',
  ),
  datasets={
    'retina': DataSet('demo_retina', 'RETINA', ('referable',)),
    'chexpert': DataSet('demo_chexpert', 'CheXpert', config.CHEXPERT_FINDINGS),
    'natural': DataSet('demo_natural', 'natural images', ('top5',)),
  },
  pretraining='natural',
  accuracy='Pretraining top-5',
  accuracy_note='Pretraining top-5 is the accuracy on other crops of the '
  'photographs and textures that stand for ImageNet; the paper’s is that on '
  'ImageNet.',
  seeds={'default': 3, **dict.fromkeys(_ONCE, 1)},
  subsets={5_000: 60, 10_000: 100, 50_000: 200, 100_000: 300},
  sampling={
    'layers': {'num_patches': 4_000, 'num_channels': 16, 'repeats': 5},
    'dots': {'num_patches': 4_000, 'num_channels': 8, 'repeats': 12},
  },
  ablation_model='cbr_tiny',
  fixed={'figure12': ('cbr_tiny',), 'figure13': ('cbr_tiny',)},
  changes={
    'train.patience': 0,
    'runtime.keep_checkpoints': 1,
    'runtime.pictures': False,
    'runtime.eval_batch_size': 100,
  },
  model_changes={
    # From 33 px on its last map is 2x2: of 1x1 maps batch norm learns nothing
    # in these few steps. Its moving averages have to keep up with them.
    'resnet50': _steps(36, 72, 6)
    | {'train.batch_size': 24, 'model.bn_momentum': 0.8},
    'inception_v3': _steps(80, 40, 4),
    'cbr_large_t': _steps(32, 60, 6),
    'cbr_large_w': _steps(32, 40, 5),
    'cbr_small': _steps(32, 80, 10),
    'cbr_tiny': _steps(32, 80, 10),
  },
)

# The same in a fifth of the time: enough to see every table and figure.
QUICK = dataclasses.replace(
  DEMO,
  name='demo --quick',
  summary=_SUMMARY.format(
    size=24,
    steps='16 steps of 16 images, for the two large networks 4, for the two '
    'large CBR networks 6',
    subsets='5000 and 100 000 are 60 and 300',
  )
  + ' Mostly one repeat: no spread is known, and hardly a claim can be told.',
  seeds={'default': 1, 'table5': 2},  # Table 5 compares two seeds.
  subsets={5_000: 60, 100_000: 300},
  model_changes={
    'resnet50': _steps(36, 4, 1),
    'inception_v3': _steps(80, 4, 1),
    'cbr_large_t': _steps(24, 6, 2),
    'cbr_large_w': _steps(24, 6, 2),
    'cbr_small': _steps(24, 16, 2),
    'cbr_tiny': _steps(24, 16, 2),
  },
)

# TensorFlow's bfloat16 is wrong on their smallest maps: `unseen_positions`.
_FLOAT32 = {'train.precision': 'float32'}

# Steps follow from the speed of two cores. Seeds follow from the spread between
# the first two (`reproduce.py --power`): for the smallest network more cost
# little, and equality within a point of AUC takes more. The claims on Table 4
# would take more time than there is.
REAL = Scale(
  name='real',
  summary='Real images on two CPU cores. CIFAR-10 in the place of ImageNet, '
  'PneumoniaMNIST (x-rays of children) in the place of RETINA, 1000 chest '
  'x-rays of the NIH in the place of CheXpert. Sizes in pixels: 32 (36 for '
  'ResNet-50, 80 for Inception-v3), the NIH’s 64 (32 for CBR-LargeW). The '
  'numbers of images that the paper counts as 5000 to 100 000 are 100 to 1600. '
  'Figures 12, 13, 14, 17 and 18 use CBR-Tiny.',
  datasets={
    'retina': DataSet('real_pneumoniamnist', 'PneumoniaMNIST', ('auc',)),
    'chexpert': DataSet('real_nih_pneumonia', 'NIH x-rays', ('auc',)),
    'cifar10': DataSet('real_cifar10', 'CIFAR-10', ('top1',)),
  },
  pretraining='cifar10',
  accuracy='CIFAR-10 top-1',
  accuracy_note='CIFAR-10 top-1 is the accuracy on its test images; the '
  'paper’s is ImageNet’s top-5.',
  finding='auc',
  seeds={
    'default': 8,
    'pretraining': 1,
    'table4': 3,
    'figure12': 16,
    'figure13': 4,
    'figure17': 32,
    'figure18': 32,
    'figure19': 2,
  },
  subsets={5_000: 100, 10_000: 200, 50_000: 800, 100_000: 1600},
  sampling=DEMO.sampling,
  ablation_model='cbr_tiny',
  fixed=DEMO.fixed,
  changes={
    'train.patience': 0,
    'train.precision': 'mixed_bfloat16',
    'runtime.keep_checkpoints': 1,
    'runtime.pictures': False,
    'runtime.eval_batch_size': 90,
  },
  model_changes={
    'resnet50': _steps(36, 120, 8) | {'model.bn_momentum': 0.9},
    'inception_v3': _steps(80, 80, 4) | _FLOAT32,
    'cbr_large_t': _steps(32, 160, 8) | _FLOAT32,
    'cbr_large_w': _steps(32, 120, 8),
    'cbr_small': _steps(32, 200, 10),
    'cbr_tiny': _steps(32, 200, 10),
  },
  dataset_changes={
    'cifar10': {
      'resnet50': _steps(36, 1_400, 4),
      'inception_v3': _steps(80, 400, 2),
      'cbr_large_t': _steps(32, 2_800, 4),
      'cbr_large_w': _steps(32, 1_400, 4),
      'cbr_small': _steps(32, 2_800, 4),
      'cbr_tiny': _steps(32, 2_800, 4),
    },
    'chexpert': {
      'resnet50': _steps(64, 80, 8),
      'cbr_large_t': _steps(64, 80, 8),
      'cbr_large_w': _steps(32, 80, 8),
      'cbr_small': _steps(64, 120, 10),
      'cbr_tiny': _steps(64, 120, 10),
    },
  },
)

SCALES = {scale.name: scale for scale in (PAPER, DEMO, REAL)}


def named(name: str, quick: bool = False) -> Scale:
  """Return a scale by name; `quick` is for the demo.

  Raises:
    InputError: No such scale, or a quick paper.
  """
  if name not in SCALES:
    raise errors.unknown('scale', name, SCALES)
  if quick and name != DEMO.name:
    raise errors.InputError(f'--quick is for --scale={DEMO.name}')
  return QUICK if quick else SCALES[name]


def with_seeds(scale: Scale, most: int) -> Scale:
  """Return the same study with at most so many repeats of each run."""
  seeds = {target: min(count, most) for target, count in scale.seeds.items()}
  return dataclasses.replace(scale, seeds=seeds)


def deterministic(scale: Scale) -> Scale:
  """Return the same study with the same bits wherever it is made again."""
  return dataclasses.replace(
    scale, changes={**scale.changes, 'train.deterministic': True}
  )


def control(scale: Scale) -> Scale:
  """Return the same study with shuffled labels: no claim should hold."""
  return dataclasses.replace(
    scale,
    name=f'{scale.name} --shuffle_labels',
    summary=f'{scale.summary} Control: all networks, the pretrained ones too, '
    'learned from shuffled labels; test labels are as they are.',
    changes={**scale.changes, 'data.shuffle_labels': True},
  )

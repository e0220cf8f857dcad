"""What a run is: one frozen `Experiment`, saved beside its result.

Every number of the paper stands here once, with its citation; what the paper
leaves open is a field whose comment gives the reason for the default. The
paper is Raghu, Zhang, Kleinberg, Bengio: Transfusion, NeurIPS 2019.
"""

from collections.abc import Mapping
import dataclasses
import json
import os
from typing import Any

import dacite

from transfusion_tf import errors

# Section 2: the five pathologies of CheXpert that the paper evaluates.
CHEXPERT_FINDINGS = (
  'Atelectasis',
  'Cardiomegaly',
  'Consolidation',
  'Edema',
  'Pleural Effusion',
)

# Size and channels of the weights' usual preparation: the mean and standard
# deviation of ImageNet's RGB values in [0, 1] (Section 2 asks for them and
# gives no figures; these are the ones in common use).
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STDDEV = (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True)
class Augment:
  """Section 2: mild random cropping, hue and contrast; flips for RETINA.

  The paper gives no strengths. Colour follows the nearest public proxy,
  Google's fundus code (google-health genomics-research, ml-based-vcdr).
  """

  crop: float = 0.9  # Side of the random crop as a share of the image's side.
  hue: float = 0.0251488  # Largest turn, as a share of the colour circle.
  contrast: tuple[float, float] = (0.9996807, 1.7704824)
  flip_left_right: bool = True
  flip_up_down: bool = True


NO_AUGMENT = Augment(
  crop=1.0,
  hue=0.0,
  contrast=(1.0, 1.0),
  flip_left_right=False,
  flip_up_down=False,
)


@dataclasses.dataclass(frozen=True)
class Data:
  """Which examples a run sees, and how they become images and targets."""

  dataset: str  # Folder of a prepared data set: `retina`, `chexpert`, ...
  image_size: int
  augment: Augment = Augment()
  subset: int = 0  # Number of training examples; 0 is all of them.
  # The paper does not say whether its repeats share a subset; ours do, so that
  # seeds differ in the network alone.
  subset_seed: int = 0
  # Inception's published weights were trained on [-1, 1]; the paper says
  # "mean and standard deviation for ImageNet" for all. We follow the paper.
  normalization: str = 'imagenet'  # or `inception`, `unit`, `bytes`
  findings: tuple[str, ...] = ()  # Of a set with findings; none is all.
  # One-hot grades as five sigmoids ("multi-label binary classification
  # framework", Section 2), or `cumulative`: output k says "at least grade k".
  grade_targets: str = 'one_hot'
  # Lowest grade, counted from 0, that is referable: moderate or worse. The
  # paper counts from 1 and says "grades 3 and up" (Section 2).
  referable_from: int = 2
  # Uncertain findings: `mix` (1 for Edema and Atelectasis, else 0: a later
  # public code of a co-author), `zeros`, `ones` or `ignore`.
  uncertain: str = 'mix'
  shuffle_labels: bool = False  # A control: nothing can be learned.


@dataclasses.dataclass(frozen=True)
class Model:
  """Which network, for any image size and number of outputs."""

  name: str  # One of `models.NAMES`, or `package.module:function`.
  # Share of the old moving average kept at each step; 0 is the network's own
  # (Slim's 0.997 or 0.9997), which wants thousands of steps to settle.
  bn_momentum: float = 0.0
  # ResNet: the unit of a block that strides. `last` gives the shapes that
  # Appendix C quotes; `first` fits weights of keras.applications.
  stride_in: str = 'last'
  slim_from: str = ''  # First stage at half width (Section 5, Slim hybrids).


@dataclasses.dataclass(frozen=True)
class Init:
  """Where the weights of step 0 come from (Sections 3 to 5, Appendix F)."""

  scheme: str = 'random'
  pretrained: str = ''  # A run folder, a weights file or `imagenet`.
  upto: str = ''  # The scheme up to this stage, random above; all if empty.
  # Batch norm under mean_var, sampling and shuffled: Appendix F.1 finds
  # `identity` slightly best and makes it the paper's default.
  bn_init: str = 'identity'
  conv1: str = 'scheme'
  freeze_upto: str = ''  # Stages that stay as they start (Figures 12, 13).


@dataclasses.dataclass(frozen=True)
class Optimizer:
  """The update rule and its learning rate over time."""

  name: str = 'adam'
  learning_rate: float = 0.001  # The peak.
  momentum: float = 0.9  # Of sgd.
  nesterov: bool = False  # "vanilla SGD with momentum" (Section 2).
  weight_decay: float = 0.0  # Not on batch norm. The paper names none.
  warmup_epochs: float = 0.0
  decay_epochs: tuple[float, ...] = ()
  decay_factor: float = 0.1


@dataclasses.dataclass(frozen=True)
class Train:
  """How long a run lasts and how often it looks at the validation set."""

  batch_size: int  # Global: over all replicas.
  train_steps: int = 0  # 0: as many as `train_epochs` make.
  train_epochs: float = 0.0
  eval_every: int = 1000  # Steps.
  # Evaluations without a better validation score before the run stops; 0
  # never stops. The paper says "with early stopping" (Table 4) and no more.
  patience: int = 0
  # Checkpoint that is judged on the test set: `best` on validation or `final`.
  # The paper does not say which it took.
  select: str = 'best'
  # The same bits on every run: fixed threads and deterministic kernels.
  deterministic: bool = False
  # Or `mixed_bfloat16`, `mixed_float16`; `auto` is the former where the device
  # multiplies it. The paper does not say; float32 is the plain reading.
  precision: str = 'float32'
  # Parts of an epoch that are read apart (`input.order`); 0 is one a worker.
  # Fixed, the number of workers does not change which batches a run sees.
  lanes: int = 0
  # Batch norm over the global batch instead of each device's. Off, as in the
  # paper's batch of 8 on one device.
  sync_batch_norm: bool = False


@dataclasses.dataclass(frozen=True)
class Runtime:
  """What may change between two sittings of one run without changing it."""

  data_dir: str
  strategy: str = 'auto'
  tpu: str = ''  # Name of a TPU, or `local`.
  num_virtual_cpus: int = 0  # To try several devices on one.
  # Steps in one call of the compiled loop; 0 is about a second's worth.
  steps_per_call: int = 0
  # Of each device, so that a score has the same bits on any number of them.
  eval_batch_size: int = 32
  checkpoint_every: int = 0  # Steps; 0: at every evaluation.
  keep_checkpoints: int = 3  # Besides step 0 and the best.
  xla: str = 'auto'  # On for GPUs and TPUs; slower than oneDNN on CPUs.
  # TensorBoard: filters, weights, confusions, and images of the first batch,
  # which are patients' images.
  pictures: bool = True
  profile: int = 0  # Steps to trace for TensorBoard's profile page.


@dataclasses.dataclass(frozen=True)
class Experiment:
  """Everything that decides a run's result."""

  data: Data
  model: Model
  train: Train
  runtime: Runtime
  init: Init = Init()
  optimizer: Optimizer = Optimizer()
  seed: int = 0


# Section 2, RETINA: 587 px, Adam at 0.001, batch 8 "for memory
# considerations". Total steps, evaluation and stopping are not given: 250 000
# steps is the length of Google's public fundus recipe.
RETINA = Experiment(
  data=Data(dataset='retina', image_size=587),
  model=Model('resnet50'),
  train=Train(batch_size=8, train_steps=250_000, eval_every=2_000, patience=20),
  optimizer=Optimizer('adam', learning_rate=0.001),
  runtime=Runtime(data_dir=''),
)

# Section 2, CheXpert: 224 px, batch 32, SGD with momentum 0.9; the rate warms
# up from 0 to 0.1 * 32 / 256 in five epochs and falls tenfold at epochs 30, 60
# and 90; x-rays are not flipped. Hue does nothing to a grey image. The end is
# not given: we stop where the last decay would begin.
CHEXPERT = Experiment(
  data=Data(
    dataset='chexpert',
    image_size=224,
    augment=Augment(flip_left_right=False, flip_up_down=False),
    findings=CHEXPERT_FINDINGS,
  ),
  model=Model('resnet50'),
  train=Train(batch_size=32, train_epochs=90, eval_every=2_000),
  optimizer=Optimizer(
    'sgd',
    learning_rate=0.1 * 32 / 256,
    momentum=0.9,
    warmup_epochs=5,
    decay_epochs=(30, 60, 90),
  ),
  runtime=Runtime(data_dir=''),
)

# The authors pretrain on ImageNet themselves and give no recipe; Section 2
# calls the CheXpert schedule "inherited from the ImageNet training pipeline",
# so this is that schedule at the public TPU ResNet recipe's batch, weight
# decay and Nesterov momentum.
IMAGENET = Experiment(
  data=Data(
    dataset='imagenet2012',
    image_size=224,
    augment=Augment(flip_up_down=False),
  ),
  model=Model('resnet50'),
  train=Train(batch_size=1024, train_epochs=90, eval_every=1_251),
  optimizer=Optimizer(
    'sgd',
    learning_rate=0.1 * 1024 / 256,
    momentum=0.9,
    nesterov=True,
    weight_decay=1e-4,
    warmup_epochs=5,
    decay_epochs=(30, 60, 80),
  ),
  runtime=Runtime(data_dir=''),
)

# A table of one's own images: the paper is silent. The size that published
# weights were trained at, RETINA's optimizer, a batch that keeps devices busy,
# passes over the data until validation stops getting better, and batch norm
# that settles in hundreds of steps. Photographs have an up and a down.
IMAGE_TABLE = Experiment(
  data=Data(dataset='', image_size=224, augment=Augment(flip_up_down=False)),
  model=Model('resnet50', bn_momentum=0.97),
  train=Train(batch_size=32, train_epochs=30, eval_every=200, patience=5),
  optimizer=RETINA.optimizer,
  runtime=Runtime(data_dir=''),
)


def override(experiment: Experiment, changes: Mapping[str, Any]) -> Experiment:
  """`experiment` with dotted fields changed, e.g. `{'data.subset': 5000}`."""
  for name, value in changes.items():
    *room, field = name.split('.')
    if room:
      part = getattr(experiment, room[0])
      value = dataclasses.replace(part, **{field: value})
      field = room[0]
    experiment = dataclasses.replace(experiment, **{field: value})
  return experiment


def flatten(experiment: Experiment) -> dict[str, Any]:
  """Dotted field -> value; the inverse of `override`'s naming."""
  flat = {}
  for name, value in dataclasses.asdict(experiment).items():
    if isinstance(value, dict):
      flat |= {f'{name}.{field}': v for field, v in value.items()}
    else:
      flat[name] = value
  return flat


def differences(old: Experiment, new: Experiment) -> list[str]:
  """One `field: old -> new` for all that differs; `runtime` may differ."""
  old, new = flatten(old), flatten(new)
  return [
    f'{name}: {old[name]!r} -> {new[name]!r}'
    for name in old
    if old[name] != new[name] and not name.startswith('runtime.')
  ]


def save(experiment: Experiment, path: str | os.PathLike) -> None:
  """Writes `experiment` to `path` as JSON."""
  with open(path, 'w', encoding='utf-8') as file:
    json.dump(dataclasses.asdict(experiment), file, indent=2)
    file.write('\n')


def load(path: str | os.PathLike) -> Experiment:
  """Reads what `save` wrote.

  Raises:
    InputError: No such file, no JSON, or not the fields of an `Experiment`.
  """
  try:
    with open(path, encoding='utf-8') as file:
      saved = json.load(file)
    if not isinstance(saved, dict):
      raise TypeError(f'holds a {type(saved).__name__}')
    return dacite.from_dict(
      Experiment, saved, dacite.Config(cast=[tuple], strict=True)
    )
  except FileNotFoundError:
    raise errors.InputError(
      f'{path}: no such file; is this a run folder made by train.py?'
    ) from None
  except (json.JSONDecodeError, dacite.DaciteError, TypeError) as error:
    raise errors.InputError(
      f'{path}: not a saved experiment: {error}'
    ) from None


# The demo scale: what two CPU cores do in minutes. Small images, few steps,
# and a batch norm momentum that settles within them.
_DEMO = {
  'data.image_size': 64,
  'model.name': 'cbr_tiny',
  'model.bn_momentum': 0.9,
  'train.batch_size': 16,
  'train.train_epochs': 0.0,
  'runtime.eval_batch_size': 100,
}
DEMO_RETINA = override(
  RETINA,
  _DEMO | {'train.train_steps': 480, 'train.eval_every': 40},
)
# The paper's CheXpert schedule spans 90 epochs; here the rate is constant.
DEMO_CHEXPERT = override(
  CHEXPERT,
  _DEMO
  | {
    'train.train_steps': 480,
    'train.eval_every': 40,
    'optimizer.warmup_epochs': 0.0,
    'optimizer.decay_epochs': (),
  },
)
# Pretraining on crops of sixteen natural photographs and textures.
DEMO_NATURAL = override(
  IMAGENET,
  _DEMO
  | {
    'data.dataset': 'natural',
    'train.train_steps': 400,
    'train.eval_every': 100,
    'optimizer': RETINA.optimizer,
  },
)

RECIPES = {
  'retina': RETINA,
  'chexpert': CHEXPERT,
  'imagenet2012': IMAGENET,
  'image_table': IMAGE_TABLE,
  'demo_retina': DEMO_RETINA,
  'demo_chexpert': DEMO_CHEXPERT,
  'demo_natural': DEMO_NATURAL,
}

# What train.py's flags, and tables of runs, call the fields. A flag that is not
# given leaves the recipe's value.
FLAGS = {
  'dataset': 'data.dataset',
  'image_size': 'data.image_size',
  'subset': 'data.subset',
  'uncertain': 'data.uncertain',
  'normalization': 'data.normalization',
  'shuffle_labels': 'data.shuffle_labels',
  'model': 'model.name',
  'bn_momentum': 'model.bn_momentum',
  'stride_in': 'model.stride_in',
  'slim_from': 'model.slim_from',
  'init': 'init.scheme',
  'pretrained': 'init.pretrained',
  'upto': 'init.upto',
  'bn_init': 'init.bn_init',
  'conv1': 'init.conv1',
  'freeze_upto': 'init.freeze_upto',
  'optimizer': 'optimizer.name',
  'learning_rate': 'optimizer.learning_rate',
  'weight_decay': 'optimizer.weight_decay',
  'batch_size': 'train.batch_size',
  'train_steps': 'train.train_steps',
  'eval_every': 'train.eval_every',
  'patience': 'train.patience',
  'deterministic': 'train.deterministic',
  'precision': 'train.precision',
  'lanes': 'train.lanes',
  'sync_batch_norm': 'train.sync_batch_norm',
  'seed': 'seed',
  'data_dir': 'runtime.data_dir',
  'strategy': 'runtime.strategy',
  'tpu': 'runtime.tpu',
  'num_virtual_cpus': 'runtime.num_virtual_cpus',
  'xla': 'runtime.xla',
  'steps_per_call': 'runtime.steps_per_call',
  'eval_batch_size': 'runtime.eval_batch_size',
  'checkpoint_every': 'runtime.checkpoint_every',
  'keep_checkpoints': 'runtime.keep_checkpoints',
  'pictures': 'runtime.pictures',
  'profile': 'runtime.profile',
}

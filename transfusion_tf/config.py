"""What a run is: one frozen `Experiment`, saved beside its result.

Every number of the paper stands here once, with its citation; what the paper
leaves open is a field whose comment gives the reason for the default. The
paper is Raghu, Zhang, Kleinberg, Bengio: Transfusion, NeurIPS 2019.
"""

from collections.abc import Iterator, Mapping
import dataclasses
import os
from typing import Any, cast

from transfusion_tf import errors
from transfusion_tf import json_file
from transfusion_tf import storage

# Section 2: the five pathologies of CheXpert that the paper evaluates.
CHEXPERT_FINDINGS = (
  'Atelectasis',
  'Cardiomegaly',
  'Consolidation',
  'Edema',
  'Pleural Effusion',
)

# Size and channels of the weights' usual preparation: the mean and standard
# deviation of ImageNet's RGB values in [0, 1] (Appendix A asks for them and
# gives no figures; these are the ones in common use).
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STDDEV = (0.229, 0.224, 0.225)


# What TensorFlow counts and computes in.
_LARGEST_INT, _LARGEST_FLOAT = 2**31 - 1, 3.4028234e38


@dataclasses.dataclass(frozen=True)
class Flag:
  """The flag of train.py that sets a field.

  Attributes:
    name: Name of the flag.
    help: The text of --help; {models} and {schemes} are those registered.
    kind: Type of its values.
    low: Smallest number that it takes.
    high: Largest number that it takes.
  """

  name: str
  help: str
  kind: type
  low: float
  high: float


def _flag(
  help_text: str,
  default: Any = dataclasses.MISSING,
  *,
  name: str = '',
  low: float = 0,
  high: float | None = None,
) -> Any:
  """Return a field with a flag, which is called like it if there is no name."""
  metadata = {'name': name, 'help': help_text, 'low': low, 'high': high}
  return dataclasses.field(default=default, metadata=metadata)


def flag_of(field: dataclasses.Field) -> Flag | None:
  """Return the flag that sets a field, or None."""
  if not field.metadata:
    return None
  name, text = field.metadata['name'] or field.name, field.metadata['help']
  return Flag(name, text, cast(type, field.type), *_range(field))


def _range(field):
  """Return the smallest and the largest number of a field."""
  low, high = (field.metadata.get(name) for name in ('low', 'high'))
  usual = _LARGEST_INT if field.type is int else _LARGEST_FLOAT
  return low or 0, usual if high is None else high


@dataclasses.dataclass(frozen=True)
class Augment:
  """Appendix A: mild random cropping, hue and contrast; flips for RETINA.

  The paper gives no strengths. Color follows the nearest public proxy,
  Google's fundus code (google-health genomics-research, ml-based-vcdr).
  """

  crop: float = 0.9  # Side of the random crop as a share of the image's side.
  # In its place, the least and largest share of the image's area that a crop
  # covers, and of its width by its height.
  crop_area: tuple[float, ...] = ()
  crop_aspect: tuple[float, float] = (3 / 4, 4 / 3)
  hue: float = 0.0251488  # Largest turn, as a share of the color circle.
  contrast: tuple[float, float] = (0.9996807, 1.7704824)
  flip_left_right: bool = True
  flip_up_down: bool = True


# Around 1, the contrast of evaluated images. The fundus code only raises it, so
# that evaluated images lie at the edge of those trained on.
MILD_CONTRAST = (0.8, 1.2)

NO_AUGMENT = Augment(
  crop=1.0,
  hue=0.0,
  contrast=(1.0, 1.0),
  flip_left_right=False,
  flip_up_down=False,
)


@dataclasses.dataclass(frozen=True)
class Data:
  """The examples of a run, and how they become images and targets."""

  dataset: str = _flag('Prepared data set, e.g. retina.')  # Its folder.
  image_size: int = _flag('Side in pixels.', low=8, high=8192)
  augment: Augment = Augment()
  # The central part that is evaluated, as a share of each side. The paper does
  # not say; below 1, an image is as large as the crops that were trained on.
  eval_crop: float = _flag(
    'Share of each side that is evaluated.', 1.0, low=0.1, high=1
  )
  # The part is a square, and its side a share of the shorter side.
  eval_square: bool = False
  subset: int = _flag('Training examples; 0: all.', 0)
  # The paper does not say whether its repeats share a subset; ours do, so that
  # seeds differ in the network alone.
  subset_seed: int = 0
  # Inception's published weights were trained on [-1, 1]; the paper says
  # "mean and standard deviation for ImageNet" for all. We follow the paper.
  normalization: str = _flag(
    'imagenet, inception, caffe, unit, bytes or radimagenet.', 'imagenet'
  )
  findings: tuple[str, ...] = ()  # Of a set with findings; none is all.
  # One-hot grades as five sigmoids ("multi-label binary classification
  # framework", Appendix A), or `cumulative`: output k says "at least grade k".
  grade_targets: str = 'one_hot'
  # Lowest grade, counted from 0, that is referable: moderate or worse. The
  # paper counts from 1 and says "grades 3 and up" (Section 2).
  referable_from: int = 2
  # Uncertain findings: `mix` (1 for Edema and Atelectasis, else 0: a later
  # public code of a co-author), `zeros`, `ones` or `ignore`.
  uncertain: str = _flag('mix, zeros, ones or ignore.', 'mix')
  shuffle_labels: bool = _flag('Control: labels of others.', False)


@dataclasses.dataclass(frozen=True)
class Model:
  """The network, for any image size and number of outputs."""

  name: str = _flag('{models}, or package.module:function.', name='model')
  # Share of the old moving average kept at each step; 0 is the network's own
  # (Slim's 0.997 or 0.9997), which wants thousands of steps to settle.
  bn_momentum: float = _flag("Batch norm; 0: the network's.", 0.0, high=1)
  # ResNet: the unit of a block that strides. `last` gives the shapes that
  # Appendix C quotes; `first` fits weights of keras.applications.
  stride_in: str = _flag('ResNet: last (paper) or first.', 'last')
  # Slim hybrids (Section 5).
  slim_from: str = _flag('First stage at half width.', '')


@dataclasses.dataclass(frozen=True)
class Init:
  """The initialization of the weights (Sections 3 to 5, Appendix F)."""

  scheme: str = _flag('{schemes}.', 'random', name='init')
  pretrained: str = _flag('Run folder, weights or imagenet.', '')
  # Empty where the weights' own file tells. The paper pretrains all itself.
  pretrained_input: str = _flag(
    'The --normalization that they were trained on, where they do not tell.', ''
  )
  # Random weights above it; all if empty.
  upto: str = _flag('Last stage that --init reaches.', '')
  # Batch norm under mean_var, sampling and shuffled: Appendix F.1 finds
  # `identity` slightly best and makes it the paper's default.
  bn_init: str = _flag('identity, mean_var or transfer.', 'identity')
  conv1: str = _flag('scheme, gabor, transfer or random.', 'scheme')
  # Figures 12 and 13.
  freeze_upto: str = _flag('Last stage that stays frozen.', '')
  # Training batches on which the batch norm of frozen stages is estimated
  # before training, where they start from no pretrained weights. The paper does
  # not say; see `init.batch_statistics` for what happens without.
  statistics_batches: int = 32


@dataclasses.dataclass(frozen=True)
class Optimizer:
  """The update rule and its learning rate over time."""

  name: str = _flag('adam or sgd.', 'adam', name='optimizer')
  learning_rate: float = _flag('Peak.', 0.001, low=1e-12)
  momentum: float = 0.9  # Of sgd.
  nesterov: bool = False  # "vanilla SGD with momentum" (Appendix A).
  # Not on batch norm. The paper names none.
  weight_decay: float = _flag('L2 penalty.', 0.0)
  warmup_epochs: float = 0.0
  decay_epochs: tuple[float, ...] = ()
  decay_factor: float = 0.1


@dataclasses.dataclass(frozen=True)
class Train:
  """How long a run lasts and how often it looks at the validation set."""

  batch_size: int = _flag('Over all devices.', low=1, high=2**20)
  # 0 is as many as `train_epochs` make.
  train_steps: int = _flag('Length.', 0, low=1)
  train_epochs: float = 0.0
  eval_every: int = _flag('Steps.', 1000, low=1)
  # Evaluations without a better validation score before the run stops; 0
  # never stops. The paper says "with early stopping" (Table 4) and no more.
  patience: int = _flag('Evaluations; 0: never stop.', 0)
  # Width of the band below the best score that counts as good as it, in
  # standard errors of that score over the validation patients: on 40 images an
  # AUC has one of 0.08, and without a band a lucky first evaluation ends a run.
  patience_stderr: float = _flag(
    'Standard errors below the best that do not count as worse.', 0.0
  )
  # Evaluations up to this step do not count: what has hardly begun to learn
  # has no best score yet.
  min_steps: int = _flag('Steps before patience begins to count.', 0)
  # A linear probe of the pretrained features, then everything (Kumar et al.,
  # ICLR 2022): steps in which the head alone is trained, before all is. The
  # optimizer begins anew after them.
  probe_steps: int = _flag('First steps, of the head alone.', 0)
  # Checkpoint that is judged on the test set: `best` on validation or `final`.
  # The paper does not say which it took.
  select: str = 'best'
  # The metric of validation that says which is best, and of the test set that
  # tables compare; empty is the AUC, or the accuracy of several classes.
  primary_metric: str = _flag(
    'Which selects the checkpoint and is compared: average_precision, '
    'brier_skill, balanced_accuracy, macro_auc, top1, ...; by default an AUC.',
    '',
  )
  # The same bits on every run: fixed threads and deterministic kernels.
  deterministic: bool = _flag('The same bits on every run.', False)
  # Or `mixed_bfloat16`, `mixed_float16`; `auto` is the former where the device
  # multiplies it. The paper does not say; float32 is the plain reading.
  precision: str = _flag(
    'float32, mixed_bfloat16, mixed_float16 or auto.', 'float32'
  )
  # Parts of an epoch that are read apart (`input.order`); 0 is one a worker.
  # Fixed, the number of workers does not change which batches a run sees.
  lanes: int = _flag('Parts of an epoch; 0: one a host.', 0, high=2**20)
  # Batch norm over the global batch instead of each device's. Off, as in the
  # paper's batch of 8 on one device.
  sync_batch_norm: bool = _flag('Over the global batch.', False)


@dataclasses.dataclass(frozen=True)
class Runtime:
  """The settings that may differ between sessions without changing a run."""

  data_dir: str = _flag('Folder that prepare_data.py filled.')
  strategy: str = _flag(
    'auto, one_device, mirrored, multi_worker or tpu.', 'auto'
  )
  tpu: str = _flag('Name of a TPU, or local.', '')
  # To start, and at every step.
  worker_timeout: int = _flag(
    'Seconds to wait for another worker.', 600, low=1, high=86_400
  )
  # To try several devices on one.
  num_virtual_cpus: int = _flag('Devices to make of one.', 0, high=1024)
  # In one call of the compiled loop.
  steps_per_call: int = _flag('0: about a second of them.', 0)
  # Of each device, so that a score has the same bits on any number of them.
  eval_batch_size: int = _flag('Of each device.', 32, low=1, high=2**16)
  checkpoint_every: int = _flag(
    'Steps; 0: eval_every. The best is written with the next.', 0
  )
  keep_checkpoints: int = _flag('Besides first and best.', 3, low=1)
  # Decoding an image takes half of the time of its input, at every epoch anew.
  # An eighth, because runs of a study begin side by side, and each takes its
  # own of what the others left.
  image_memory: float = _flag(
    'Share of the free memory for decoded images; 0: decode at every epoch.',
    0.125,
    high=1,
  )
  # On for GPUs and TPUs; slower than oneDNN on CPUs.
  xla: str = _flag('auto, on or off.', 'auto')
  # TensorBoard: filters, weights, confusions, and images of the first batch,
  # which are patients' images.
  pictures: bool = _flag('On TensorBoard, of patients too.', True)
  profile: int = _flag('Steps to trace for TensorBoard.', 0)


@dataclasses.dataclass(frozen=True)
class Experiment:
  """Everything that decides a run's result."""

  data: Data
  model: Model
  train: Train
  runtime: Runtime
  init: Init = Init()
  optimizer: Optimizer = Optimizer()
  # Keras is seeded with it plus 1, which must be below 2**32.
  seed: int = _flag('Of weights, order, augmentation.', 0, high=2**32 - 2)


# Appendix A, RETINA: 587 px, Adam at 0.001, batch 8 "for memory
# considerations". Total steps, evaluation and stopping are not given: 250 000
# steps is the length of Google's public fundus recipe.
RETINA = Experiment(
  data=Data(dataset='retina', image_size=587, eval_crop=0.9),
  model=Model('resnet50'),
  train=Train(batch_size=8, train_steps=250_000, eval_every=2_000, patience=20),
  optimizer=Optimizer('adam', learning_rate=0.001),
  runtime=Runtime(data_dir=''),
)

# Appendix A, CheXpert: 224 px, batch 32, SGD with momentum 0.9; the rate warms
# up from 0 to 0.1 * 32 / 256 in five epochs and falls tenfold at epochs 30, 60
# and 90; x-rays are not flipped. Hue does nothing to a gray image. The end is
# not given: we stop where the last decay would begin.
CHEXPERT = Experiment(
  data=Data(
    dataset='chexpert',
    image_size=224,
    augment=Augment(
      hue=0.0,
      contrast=MILD_CONTRAST,
      flip_left_right=False,
      flip_up_down=False,
    ),
    eval_crop=0.9,
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

# The authors pretrain on ImageNet themselves and give no recipe; Appendix A
# calls the CheXpert schedule "inherited from the ImageNet training pipeline",
# so this is that schedule at the public TPU ResNet recipe's batch, weight
# decay, Nesterov momentum and images: crops of random area and aspect, flips,
# no color; evaluated is the central 224 px of an image whose shorter side is
# 256. (That recipe resizes by bicubic interpolation, ours without aliasing.)
IMAGENET = Experiment(
  data=Data(
    dataset='imagenet2012',
    image_size=224,
    augment=Augment(
      crop_area=(0.08, 1.0),
      hue=0.0,
      contrast=(1.0, 1.0),
      flip_up_down=False,
    ),
    eval_crop=224 / 256,
    eval_square=True,
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
# passes over the data until validation is worse than its best by more than
# its standard error. Photographs have an up and a down. `run.table_recipe` fits
# the length, the evaluations and batch norm to the number of images.
IMAGE_TABLE = Experiment(
  data=Data(
    dataset='',
    image_size=224,
    augment=Augment(contrast=MILD_CONTRAST, flip_up_down=False),
    eval_crop=0.9,
  ),
  model=Model('resnet50', bn_momentum=0.97),
  train=Train(
    batch_size=32,
    train_epochs=30,
    eval_every=200,
    patience=5,
    patience_stderr=1.0,
  ),
  optimizer=RETINA.optimizer,
  runtime=Runtime(data_dir=''),
)


def override(experiment: Experiment, changes: Mapping[str, Any]) -> Experiment:
  """Return `experiment` with changes, e.g. `{'data.subset': 5000}`."""
  for name, value in changes.items():
    *room, field = name.split('.')
    if room:
      part = getattr(experiment, room[0])
      value = dataclasses.replace(part, **{field: value})
      field = room[0]
    experiment = dataclasses.replace(experiment, **{field: value})
  return experiment


def fields() -> Iterator[tuple[str, dataclasses.Field]]:
  """Yield the dotted path and the field of everything in an `Experiment`."""
  for field in dataclasses.fields(Experiment):
    if not dataclasses.is_dataclass(field.type):
      yield field.name, field
      continue
    for part in dataclasses.fields(field.type):
      yield f'{field.name}.{part.name}', part


def flatten(experiment: Experiment) -> dict[str, Any]:
  """Return dotted field -> value; the inverse of `override`'s naming."""
  flat: dict[str, Any] = {}
  for name, value in dataclasses.asdict(experiment).items():
    if isinstance(value, dict):
      flat |= {f'{name}.{field}': v for field, v in value.items()}
    else:
      flat[name] = value
  return flat


def differences(old: Experiment, new: Experiment) -> list[str]:
  """Return a `field: old -> new` for each difference outside `runtime`."""
  before, after = flatten(old), flatten(new)
  return [
    f'{name}: {before[name]!r} -> {after[name]!r}'
    for name in before
    if before[name] != after[name] and not name.startswith('runtime.')
  ]


def check(experiment: Experiment) -> None:
  """Check that numbers are in the ranges of their fields, and texts are texts.

  Raises:
    InputError: One is not.
  """
  values = flatten(experiment)
  for name, field in fields():
    low, high = _range(field)
    for value in _leaves(values[name]):
      # A default may stand for the absence of a number.
      if isinstance(value, str):
        errors.check_text(name, value)
      elif value != field.default and not low <= value <= high:
        raise errors.InputError(
          f'{name}={value} is not from {low:,} to {high:,}'
        )


def _leaves(value):
  """Yield the numbers and texts in the value of a field."""
  if isinstance(value, dict):
    value = tuple(value.values())
  if isinstance(value, tuple):
    for part in value:
      yield from _leaves(part)
  elif not isinstance(value, bool):
    yield value


def save(experiment: Experiment, path: str | os.PathLike) -> None:
  """Write `experiment` to `path` as JSON."""
  storage.write_json(os.fspath(path), dataclasses.asdict(experiment))


def load(path: str | os.PathLike) -> Experiment:
  """Read what `save` wrote.

  Raises:
    InputError: No such file, no JSON, or not the fields of an `Experiment`.
  """
  remedy = 'restore the file, or train again in another folder'
  try:
    experiment = json_file.read(path, Experiment, remedy)
  except FileNotFoundError:
    raise errors.InputError(
      f'{path}: no such file; is this a run folder made by train.py?'
    ) from None
  try:
    check(experiment)
  except errors.InputError as error:
    raise errors.DamagedFileError(os.fspath(path), str(error), remedy) from None
  return experiment


# Published weights scored as they are, without a step of training. The paper's
# are Inception-v3's, trained at this size (Table 1 has their accuracy) and
# evaluated by TF-Slim on the central 87.5 % of each side.
IMAGENET_PUBLISHED = override(
  IMAGENET,
  {
    'data.image_size': 299,
    'data.eval_crop': 0.875,
    'data.eval_square': False,
    'model.name': 'inception_v3',
    'train.train_epochs': 0.0,
    'init.scheme': 'transfer',
    'init.upto': 'head',
  },
)

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
# Pretraining on crops of sixteen natural photographs and textures: they are
# squares already, and of random places.
DEMO_NATURAL = override(
  IMAGENET,
  _DEMO
  | {
    'data.dataset': 'natural',
    'data.augment': Augment(hue=0, contrast=(1, 1), flip_up_down=False),
    'data.eval_crop': 0.9,
    'data.eval_square': False,
    'train.train_steps': 400,
    'train.eval_every': 100,
    'optimizer': RETINA.optimizer,
  },
)

# Real images on two CPU cores (docs/studies.md): photographs to pretrain on,
# x-rays of children in the place of RETINA, those of the NIH in the place of
# CheXpert. X-rays are not flipped, as in Appendix A.
_REAL = _DEMO | {
  'data.image_size': 32,
  'data.augment': Augment(
    hue=0.0, contrast=MILD_CONTRAST, flip_left_right=False, flip_up_down=False
  ),
  'data.eval_crop': 0.9,
  'data.findings': (),
  'optimizer': RETINA.optimizer,
}
REAL_PNEUMONIAMNIST = override(
  DEMO_RETINA, _REAL | {'data.dataset': 'pneumoniamnist'}
)
REAL_NIH_PNEUMONIA = override(
  DEMO_CHEXPERT,
  _REAL | {'data.dataset': 'nih_pneumonia', 'data.image_size': 64},
)
REAL_CIFAR10 = override(
  DEMO_NATURAL,
  {
    'data.dataset': 'cifar10',
    'data.image_size': 32,
    'train.batch_size': 32,
    'train.train_steps': 4_000,
    'train.eval_every': 1_000,
  },
)

RECIPES = {
  'retina': RETINA,
  'chexpert': CHEXPERT,
  'imagenet2012': IMAGENET,
  'imagenet2012_published': IMAGENET_PUBLISHED,
  'image_table': IMAGE_TABLE,
  'demo_retina': DEMO_RETINA,
  'demo_chexpert': DEMO_CHEXPERT,
  'demo_natural': DEMO_NATURAL,
  'real_pneumoniamnist': REAL_PNEUMONIAMNIST,
  'real_nih_pneumonia': REAL_NIH_PNEUMONIA,
  'real_cifar10': REAL_CIFAR10,
}

# Fields of a recipe that `run.table_recipe` fits to the data of a run.
FITTED = {
  'image_table': (
    'model.bn_momentum',
    'train.train_steps',
    'train.eval_every',
    'train.patience_stderr',
    'train.min_steps',
  )
}

# Flag -> dotted field: what train.py's flags, and tables of runs, call fields.
# A flag that is not given leaves the recipe's value.
FLAGS = {
  flag.name: path for path, field in fields() if (flag := flag_of(field))
}

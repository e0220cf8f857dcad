"""TF-Slim's published checkpoints under the names of our networks.

`inception_v3.ckpt` and `resnet_v1_50.ckpt` of the TF-Slim model zoo are read
variable by variable, by name: half of Inception's kernels share their shape
with another. A checkpoint's other variables are known and left out: the
auxiliary head, the step, the mean color. The number of classes is that of the
checkpoint: the published Inception has 1001, ImageNet's after the background,
which `without_background` drops.

A network trained further, as by TF-Slim's train_image_classifier.py, has the
optimizer's variables beside its weights and, with --moving_average_decay, an
average of each. TensorFlow 1 names them after the weight: WEIGHT/Momentum,
WEIGHT/Adam_1, WEIGHT/ExponentialMovingAverage.
"""

import contextlib
import functools
import hashlib
import re
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from transfusion_tf import errors
from transfusion_tf import models
from transfusion_tf import storage
from transfusion_tf.init import types

# Model -> scope of its variables in TF-Slim.
SCOPES = {'inception_v3': 'InceptionV3', 'resnet50': 'resnet_v1_50'}
STRIDE_IN = 'last'  # Of its ResNet.
# Model -> the input of its published weights (`for_named_input`).
INPUTS = {'inception_v3': 'inception', 'resnet50': 'caffe'}
_LEFT_OUT = re.compile(r'global_step|\w+/(AuxLogits/.*|mean_rgb)')
# Variables of an optimizer that belong to no weight: Adam's.
_OPTIMIZER = re.compile(r'(.*/)?beta[12]_power(_\d+)?')
_AVERAGE = '/ExponentialMovingAverage'
_HEAD = re.compile(r'Logits/Conv2d_1c_1x1|logits')
_NAMES = {'weights': 'kernel', 'biases': 'bias'}
_BATCH_NORM = {'inception_v3': 'BatchNorm', 'resnet50': 'bn'}
_WITH_BACKGROUND = 1001


class Contents(NamedTuple):
  """The variables of a checkpoint, by name, but those that no import takes.

  Attributes:
    weights: The network's, and what no rule knows.
    slots: The optimizer's.
    averages: Weight -> its moving average.
  """

  weights: list[str]
  slots: list[str]
  averages: dict[str, str]


def contents(checkpoint: str) -> Contents:
  """Sort the variables of a TF-Slim checkpoint by their names.

  Raises:
    InputError: The checkpoint does not exist or cannot be read.
  """
  _files(checkpoint)
  with _convert_read_errors(checkpoint):
    reader = tf.train.load_checkpoint(checkpoint)
    return _sort(reader.get_variable_to_shape_map())


def read(
  checkpoint: str, name: str, moving_average: bool = False
) -> dict[str, np.ndarray]:
  """Return the weights of a TF-Slim checkpoint: our path -> array.

  Args:
    checkpoint: The .ckpt file, or the prefix of a newer checkpoint's files.
    name: The model, a key of `SCOPES`.
    moving_average: Take a weight's moving average where it has one, as
      tf.train.ExponentialMovingAverage.variables_to_restore does.

  Raises:
    InputError: Unreadable, of another network, with a weight missing, too
      many, of another shape or not finite; or no weight has an average.
  """
  if name not in SCOPES:
    raise errors.unknown('model', name, SCOPES)
  _files(checkpoint)
  with _convert_read_errors(checkpoint):
    reader = tf.train.load_checkpoint(checkpoint)
    shapes = reader.get_variable_to_shape_map()
    weights, _, averages = _sort(shapes)
    if moving_average and not averages:
      raise errors.InputError(
        f'{checkpoint}: no variable ends in {_AVERAGE}, so there are no moving '
        'averages; take the weights themselves'
      )
    paths = {variable: _path(variable, name) for variable in weights}
    _check_scope(checkpoint, paths, name)
    # Path -> the variable that gives its values.
    chosen = {
      path: averages.get(variable, variable) if moving_average else variable
      for variable, path in paths.items()
    }
    _check_shapes(checkpoint, {p: shapes[v] for p, v in chosen.items()}, name)
    arrays = {p: _read(reader, checkpoint, v) for p, v in chosen.items()}
  # TF-Slim's classifier is a 1x1 convolution.
  return arrays | {'head/kernel': arrays['head/kernel'][0, 0]}


def without_background(arrays: types.Arrays) -> dict[str, np.ndarray]:
  """Return weights with a head of ImageNet's classes alone.

  They are in the order of their WordNet ids, as those of TFDS. The softmax of
  the 1000 others is the old one divided by 1 - p(background): one factor for
  all classes of an image, so that their order, and top-1 and top-5 accuracy
  among them, are the same.
  """
  if len(arrays['head/bias']) != _WITH_BACKGROUND:
    return dict(arrays)
  heads = ('head/kernel', 'head/bias')
  return {**arrays, **{path: arrays[path][..., 1:] for path in heads}}


def for_named_input(arrays: types.Arrays, name: str) -> types.Arrays:
  """Return the weights, from `read`, for images of the kind `INPUTS[name]`.

  TF-Slim's ResNet takes RGB less Caffe's mean color; only the order of the
  colors is another than in Caffe's BGR.
  """
  if name != 'resnet50':
    return arrays
  return {**arrays, 'conv1/kernel': arrays['conv1/kernel'][:, :, ::-1]}


def origin(checkpoint: str) -> str:
  """Return the checkpoint's files, each with its SHA-256, for the record."""
  digests = []
  for path in _files(checkpoint):
    with tf.io.gfile.GFile(path, 'rb') as file:
      digest = hashlib.sha256(file.read()).hexdigest()
    digests.append(f'{path.rsplit("/", 1)[-1]} SHA-256 {digest}')
  return ', '.join(digests)


def _files(checkpoint):
  # The published files are single; TensorFlow 1 and later write several.
  if storage.exists(checkpoint) and not storage.isdir(checkpoint):
    return [checkpoint]
  if storage.exists(f'{checkpoint}.index'):
    data = storage.glob(f'{checkpoint}.data-*')
    return [f'{checkpoint}.index', *sorted(data)]
  raise errors.InputError(f'{checkpoint}: no such checkpoint')


@contextlib.contextmanager
def _convert_read_errors(checkpoint):
  try:
    yield
  except errors.InputError:
    raise
  # A cut file is an IndexError from below.
  except (tf.errors.OpError, IndexError, ValueError, OSError) as error:
    raise errors.InputError(
      f'{checkpoint}: damaged, or no TensorFlow checkpoint: {error}'
    ) from None


def _sort(variables):
  weights, slots, averages = [], [], {}
  for variable in sorted(variables):
    # No weight of a network is named after another: TF 1's slots alone are.
    owner = variable.rpartition('/')[0]
    if _LEFT_OUT.fullmatch(variable):
      continue
    if variable == owner + _AVERAGE and owner in variables:
      averages[owner] = variable
    elif owner in variables or _OPTIMIZER.fullmatch(variable):
      slots.append(variable)
    else:
      weights.append(variable)
  return Contents(weights, slots, averages)


def _path(variable, name):
  """Return our path for a variable; its own name for another network's."""
  scope, _, rest = variable.partition('/')
  layer, _, last = rest.rpartition('/')
  if scope != SCOPES[name] or not layer:
    return variable
  layer = layer.replace('/bottleneck_v1/', '/')
  if _HEAD.fullmatch(layer):
    layer = 'head'
  if layer.endswith('/BatchNorm'):
    layer = f'{layer.removesuffix("/BatchNorm")}.{_BATCH_NORM[name]}'
  return f'{layer.replace("/", ".")}/{_NAMES.get(last, last)}'


def _check_scope(checkpoint, paths, name):
  if any(variable.startswith(f'{SCOPES[name]}/') for variable in paths):
    return
  others = [m for m, s in SCOPES.items() if any(v.startswith(s) for v in paths)]
  hint = f'; it is of {others[0]}' if others else ''
  raise errors.InputError(
    f'{checkpoint}: no variable begins with {SCOPES[name]}/, so these are not '
    f'the weights of {name}{hint}'
  )


def _check_shapes(checkpoint, theirs, name):
  """Raise InputError if weights are missing, too many or of another shape."""
  ours = _shapes(name, theirs.get('head/bias', [1])[0])
  types.raise_on_mismatch(
    f'{checkpoint} does not fit {name}',
    {
      'missing': [f'{p} {ours[p]}' for p in ours if p not in theirs],
      f'not in {name}': [f'{p} {theirs[p]}' for p in theirs if p not in ours],
      'of another shape': [
        f'{p} {theirs[p]} there, {ours[p]} in {name}'
        for p in ours
        if p in theirs and theirs[p] != ours[p]
      ],
    },
  )


@functools.cache  # Building a network takes a second.
def _shapes(name, num_classes):
  """Return the shape of each weight that a checkpoint should have, by path."""
  model = models.build(name, num_classes, (None, None, 3))
  shapes = {v.path: list(v.shape) for v in model.weights}
  return shapes | {'head/kernel': [1, 1, *shapes['head/kernel']]}


def _read(reader, checkpoint, variable):
  values = reader.get_tensor(variable)
  if not np.isfinite(values).all():
    raise errors.InputError(
      f'{checkpoint}: {variable} {values.shape} has NaN or infinity'
    )
  return values

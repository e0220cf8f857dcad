"""Weights of any source, as {path: array}.

- RUN, a run folder: its selected checkpoint; RUN@best, RUN@init, RUN@final and
  RUN@STEP name another.
- A file: .keras, .h5 (whole models, or weights alone as keras.applications and
  RadImageNet publish them), .weights.h5, .npz (of import_slim.py) or a Saver's
  .ckpt.
- `imagenet`: keras.applications, for resnet50 (with stride_in='first') and
  inception_v3. Keras downloads them.
- `package.module:function`: the keras.Model that the function returns.
- Any keras.Model, e.g. keras.applications.MobileNetV2().

Weights were trained on images normalized in some way, and are fitted to those
of the run (`input_scaling`). The way is recorded in run folders, exported
models and the files of import_slim.py; models with the layers of a network of
keras.applications are taken to be published; what else there is has to be said.
"""

import os

import keras

from transfusion_tf import errors
from transfusion_tf import storage
from transfusion_tf.init import input_scaling
from transfusion_tf.init import types
from transfusion_tf.init.sources import files
from transfusion_tf.init.sources import foreign_files
from transfusion_tf.init.sources import keras_applications
from transfusion_tf.init.sources import run_weights
from transfusion_tf.input_pipeline import normalization as normalization_lib
from transfusion_tf.models import custom

IMAGENET = 'imagenet'
_APPLICATIONS = {
  'resnet50': keras.applications.ResNet50,
  'inception_v3': keras.applications.InceptionV3,
}


def load(
  source: str | os.PathLike | keras.Model | None,
  like: keras.Model | None = None,
  normalization: str = '',
  pretrained_input: str = '',
) -> types.WeightSource | None:
  """Load weights; an empty or missing name is None.

  Args:
    source: One of the above.
    like: The model to initialize. Needed by `imagenet` and weights alone; with
      it, weights of `keras.applications` get the paths of our networks.
    normalization: The images that `like` is given, a key of
      `input_pipeline.normalization.KINDS`. Empty leaves weights as they are,
      but fits `imagenet` to images normalized by ImageNet's mean and stddev.
    pretrained_input: The images that the weights were trained on, where the
      source does not tell; another key.

  Raises:
    InputError: The source does not exist, is unreadable or of another kind, or
      its input is unknown or cannot be converted.
  """
  if pretrained_input:
    normalization_lib.kind(pretrained_input, 'pretrained_input')
  weights = _load(source, like)
  if weights is None:
    if pretrained_input:
      raise errors.InputError(
        f'pretrained_input={pretrained_input}, but no weights are given: name '
        'them as pretrained'
      )
    return None
  if not normalization and source == IMAGENET:
    normalization = IMAGENET
  if not normalization:
    return weights
  trained_on = _trained_on(weights, pretrained_input)
  fitted = input_scaling.fit(weights, like, trained_on, normalization)
  fitted.model, fitted.trained_on = weights.model, trained_on
  fitted.layers = weights.layers
  return fitted


def stride_in(source: str) -> str:
  """Return the unit of a block in which a ResNet-50 of these weights strides.

  Empty if nothing tells, as for a source that does not exist.
  """
  if source == IMAGENET:
    return 'first'
  if custom.is_custom(source):
    return files.stride_of(_call_function(source))
  if run_weights.is_run(source):
    return run_weights.stride_in(source)
  return files.stride_in(source) if storage.exists(source) else ''


def _trained_on(weights, pretrained_input):
  recorded = weights.input
  if recorded and pretrained_input not in ('', recorded):
    raise errors.InputError(
      f'{weights.name} was trained on images normalized as {recorded}, not as '
      f'pretrained_input={pretrained_input}: leave it out'
    )
  trained_on = recorded or pretrained_input or weights.published_input
  if not trained_on:
    raise errors.InputError(
      f'{weights.name}: nothing tells which images the weights were trained '
      'on; say it by --pretrained_input='
      f'{"|".join(normalization_lib.KINDS)}'
    )
  return trained_on


def _load(source, like):
  if isinstance(source, keras.Model):
    return files.from_model(source, like, f'the model {source.name}')
  name = os.fspath(source or '')
  if not name:
    return None
  if name == IMAGENET:
    return _imagenet(like)
  if custom.is_custom(name):
    return files.from_model(_call_function(name), like, name)
  if run_weights.is_run(name):
    return run_weights.read(name, like)
  read = files.reader(name)
  if read is None:
    known = f'({", ".join(files.SUFFIXES)}) nor {IMAGENET!r}'
    raise foreign_files.refuse(name, known)
  return read(name, like)


def _call_function(name):
  model = custom.function(name)()
  if not isinstance(model, keras.Model):
    raise errors.InputError(
      f'{name} returns {type(model).__name__}, not a keras.Model'
    )
  return model


def _imagenet(like):
  if like is None or like.name not in _APPLICATIONS:
    raise errors.InputError(
      f'{IMAGENET} is for {" and ".join(_APPLICATIONS)}, not for '
      f'{like.name if like else "no model"}; name a function that returns the '
      'pretrained keras.Model: package.module:function'
    )
  keras_applications.check(like)
  try:
    model = _APPLICATIONS[like.name](weights='imagenet')
  except Exception as error:  # Keras raises whatever the network does.
    raise errors.InputError(
      f'{IMAGENET}: the download from keras.applications failed: {error}; name '
      'a file of weights, or leave them out'
    ) from None
  return files.from_model(
    model, like, f'keras.applications {model.name} {IMAGENET}'
  )

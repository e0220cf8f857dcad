"""Weights of any source, as {path: array}.

- RUN, a run folder: its selected checkpoint; RUN@init, RUN@final and RUN@STEP
  name another.
- A file: .keras, .weights.h5, .npz (of import_slim.py) or a Saver's .ckpt.
- `imagenet`: keras.applications, for resnet50 (with stride_in='first') and
  inception_v3, fitted to images normalized by ImageNet's mean and standard
  deviation. Keras downloads them.
- `package.module:function`: the keras.Model that the function returns.
- Any keras.Model, e.g. keras.applications.MobileNetV2().
"""

import os

import keras

from transfusion_tf import errors
from transfusion_tf.init import types
from transfusion_tf.init.sources import files
from transfusion_tf.init.sources import keras_applications
from transfusion_tf.init.sources import run_weights
from transfusion_tf.models import custom

IMAGENET = 'imagenet'
_APPLICATIONS = {
  'resnet50': keras.applications.ResNet50,
  'inception_v3': keras.applications.InceptionV3,
}


def load(
  source: str | os.PathLike | keras.Model | None,
  like: keras.Model | None = None,
) -> types.WeightSource | None:
  """Load weights; an empty or missing name is None.

  Args:
    source: One of the above.
    like: The model to initialize. Needed by `imagenet` and `.weights.h5`;
      with it, weights of `keras.applications` get the paths of our networks.

  Raises:
    InputError: The source does not exist, is unreadable or of another kind.
  """
  if isinstance(source, keras.Model):
    return files.from_model(source, like, f'the model {source.name}')
  name = os.fspath(source or '')
  if not name:
    return None
  if name == IMAGENET:
    return _imagenet(like)
  if custom.is_custom(name):
    return _call_function(name, like)
  if run_weights.is_run(name):
    return run_weights.read(name, like)
  read = files.reader(name)
  if read is None:
    raise errors.InputError(
      f'{name}: neither a run folder nor a weights file '
      f'({", ".join(files.SUFFIXES)}) nor {IMAGENET!r}'
    )
  return read(name, like)


def _call_function(name, like):
  model = custom.function(name)()
  if not isinstance(model, keras.Model):
    raise errors.InputError(
      f'{name} returns {type(model).__name__}, not a keras.Model'
    )
  return files.from_model(model, like, name)


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
      f'{IMAGENET}: the download from keras.applications failed: {error}'
    ) from None
  arrays = keras_applications.for_normalized(
    keras_applications.renamed(model, like)
  )
  return types.WeightSource(
    arrays, f'keras.applications {model.name} {IMAGENET}'
  )

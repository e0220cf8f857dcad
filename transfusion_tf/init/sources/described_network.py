"""Refuses files of a network whose description asks for more than it holds.

A few bytes can describe a layer of terabytes. The network is therefore made
first without its weights, of which only the shapes are looked at.
"""

from collections.abc import Mapping
import contextlib
import json
import math
import random
import zipfile

import keras

from transfusion_tf import errors
from transfusion_tf import storage
from transfusion_tf.init.sources import self_contained
from transfusion_tf.models import graph as graph_lib

_CONFIG = 'config.json'  # In a .keras file.
# Numbers that a layer puts out for an image; ResNet-50 at 587 px has 2**23.
_LARGEST_OUTPUT = 2**27


def check(
  name: str, like: keras.Model | None, classes: Mapping[str, type]
) -> None:
  """Refuse a .keras or .h5 file of a network that is too large.

  Args:
    name: The file, which `self_contained.check` has passed.
    like: The network that the weights are for, if it is known.
    classes: Layers that are not of Keras.

  Raises:
    InputError: It asks for more weights than the file can have, or for layers
      of more than 2**27 numbers an image.
    TypeError, ValueError: As of keras.models.load_model.
  """
  path = storage.local_copy(name)
  most = self_contained.most_bytes(path, like)
  try:
    with _same_random_numbers():
      model = _described(path, classes)
  except ValueError as error:
    # A layer that computes a value when it is made, as `Normalization` may.
    if 'stateless scope' in str(error):
      return
    raise
  self_contained.check_size(name, self_contained.num_bytes(model), most)
  for layer in graph_lib.layers(model):
    if (size := _output_size(layer)) > _LARGEST_OUTPUT:
      raise errors.InputError(
        f'{name}: layer {layer.name} puts out {size:,} numbers for an image; '
        f'these can be {_LARGEST_OUTPUT:,} at most'
      )


def _described(path, classes):
  with keras.StatelessScope(initialize_variables=False):
    if not path.endswith('.keras'):
      return keras.models.load_model(
        path, custom_objects=classes, compile=False
      )
    with zipfile.ZipFile(path) as archive:
      description = json.loads(archive.read(_CONFIG))
    description.pop('compile_config', None)  # An optimizer makes variables.
    return keras.models.model_from_json(
      json.dumps(description), custom_objects=classes
    )


@contextlib.contextmanager
def _same_random_numbers():
  """Let what is drawn afterwards not depend on what is drawn inside."""
  state = random.getstate()  # From which Keras seeds initializers.
  try:
    yield
  finally:
    random.setstate(state)


def _output_size(layer):
  """Return the numbers that a layer puts out for an image, as far as known."""
  try:
    outputs = keras.tree.flatten(layer.output)
  except (AttributeError, ValueError):  # Called never, or several times.
    return 0
  return max(math.prod(filter(None, x.shape)) for x in outputs)

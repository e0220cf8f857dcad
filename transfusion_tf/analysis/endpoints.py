"""The activations of models' named layers."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import dataclasses
from typing import Any

import keras
import tensorflow as tf

from transfusion_tf import errors
from transfusion_tf import models
from transfusion_tf.analysis import activation_source
from transfusion_tf.models import graph as graph_lib
from transfusion_tf.models import stages
from transfusion_tf.models import state as state_lib

_SCOPE = 'activations'
_ARRAY_BATCH = 8  # Images of one array that go through the networks at once.


@dataclasses.dataclass(frozen=True)
class PreparedModel:
  """A model with the preparation of its images.

  Attributes:
    model: A functional or sequential model with one input.
    prepare: A batch of images -> the model's input, in a graph.
    weights: Tensors in place of the model's own, in the order of
      `model.weights`. Networks that share a model are traced only once.
  """

  model: keras.Model
  prepare: Callable[[Any], Any] = lambda images: images
  weights: Sequence[tf.Tensor] | None = None


class Extractor:
  """The activations of a model at named stages or layers.

  It ends at the last of them: later layers are not computed.

  Attributes:
    names: The names.
    input_shape: Shape of one image; sizes may be None.
  """

  def __init__(self, model: keras.Model, names: Sequence[str]):
    """Find the layers.

    Args:
      model: Any functional or sequential model with one input.
      names: Stages, of a model that `models.build` made, or Keras layers; in a
        model inside it, `model/layer`.

    Raises:
      InputError: A name is neither (the message lists the known ones), or the
        model's layers cannot be read.
    """
    self._model = model
    self._graph = graph_lib.Graph(model)
    if not self._graph.nodes:
      raise errors.InputError(
        f'the layers of {model.name!r} cannot be read: it is no functional or '
        'sequential model, or has not been built'
      )
    if len(model.inputs) != 1:
      raise errors.InputError(
        f'{model.name!r} has {len(model.inputs)} inputs; only images are given'
      )
    self.names = list(names)
    self.input_shape = tuple(model.inputs[0].shape[1:])
    endpoints = {stage.name: stage.endpoint for stage in _stages(model)}
    self._tensors = {name: self._find(name, endpoints) for name in names}

  def __call__(self, images: Any, training: bool = False) -> dict[str, Any]:
    """Compute name -> activations [B, ..., C]."""
    images = keras.ops.convert_to_tensor(images, self._model.inputs[0].dtype)
    # Outside of all scopes, a graph has no place for a layer named `_block`.
    with tf.name_scope(_SCOPE):
      values = self._graph.run(images, self._tensors.values(), training)
    return {name: values[tensor] for name, tensor in self._tensors.items()}

  def shapes(self, image_shape: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of one image's activations."""
    spec = tf.TensorSpec((1, *image_shape), self._model.inputs[0].dtype)
    function = tf.function(self.__call__, autograph=False)
    outputs = function.get_concrete_function(spec).structured_outputs
    return {name: tuple(x.shape[1:]) for name, x in outputs.items()}

  def _find(self, name, endpoints):
    if name in endpoints and not endpoints[name]:
      raise errors.InputError(
        f'stage {name!r} of {self._model.name} lies inside a layer, whose '
        'activations cannot be read; end it where a layer ends'
      )
    number = self._graph.find(endpoints.get(name, name))
    if number is None:
      known = [node.name for node in self._graph.nodes]
      raise errors.unknown('layer', name, [*endpoints, *sorted(set(known))])
    return self._graph.nodes[number].outputs[0]


def make_source(
  networks: Mapping[str, PreparedModel],
  batches: Iterable[Any],
  layers: Sequence[str],
  num_images: int | None = None,
) -> activation_source.ActivationSource:
  """Return the activations of several models on the same images.

  Args:
    networks: Name -> model.
    batches: Batches of images, readable more than once.
    layers: Stages or Keras layers, which each of the models must have.
    num_images: Number of images, if known.

  Raises:
    InputError: A model lacks a layer; there is no image, or images do not fit
      the models.
  """
  layers = list(layers)
  first = next(iter(batches), None)
  if first is None:
    raise errors.InputError('the data set has no image')
  by_model: dict[keras.Model, _Endpoints] = {}
  for name, network in networks.items():
    if network.model not in by_model:
      extract = Extractor(network.model, layers)
      prepared = network.prepare(first[:1])
      shapes = _shapes(name, extract, tuple(prepared.shape[1:]))
      by_model[network.model] = _Endpoints(network.model, extract, shapes)
  pairs = [(by_model[n.model], n) for n in networks.values()]

  def forward(images):
    outputs = [endpoints.activations(n, images) for endpoints, n in pairs]
    return [[output[layer] for output in outputs] for layer in layers]

  return activation_source.ActivationSource(
    networks=list(networks),
    layers=layers,
    shapes=[[e.shapes[layer] for e, _ in pairs] for layer in layers],
    batches=batches,
    forward=forward,
    num_images=num_images,
  )


@dataclasses.dataclass(frozen=True, eq=False)
class _Endpoints:
  """The common parts of networks that share a model.

  Attributes:
    model: The whole model.
    extractor: Images as the model takes them -> layer -> activations.
    shapes: Layer -> shape of one image's activations.
  """

  model: keras.Model
  extractor: Extractor
  shapes: dict[str, tuple[int, ...]]

  def activations(self, network, images):
    images = network.prepare(images)
    if network.weights is None:
      return self.extractor(images)
    return self._with_weights(network.weights, images)

  @tf.function(reduce_retracing=True, autograph=False)
  def _with_weights(self, weights, images):
    pairs = zip(self.model.weights, weights, strict=True)
    try:
      with keras.StatelessScope(pairs):
        state_lib.finalize_state(self.model)
        return self.extractor(images)
    finally:
      with tf.init_scope():  # Out of the function that is traced.
        state_lib.finalize_state(self.model)


class ImageBatches:
  """Batches of images of a data set or an array, any number of times."""

  def __init__(self, dataset: Any):
    """Take batches, tuples that begin with one, or one array of images."""
    if hasattr(dataset, 'shape'):
      starts = range(0, len(dataset), _ARRAY_BATCH)
      dataset = [dataset[i : i + _ARRAY_BATCH] for i in starts]
    if iter(dataset) is dataset:
      raise errors.InputError(
        'the data set can be read only once; give a tf.data.Dataset or a list '
        'of batches'
      )
    self._dataset = dataset

  def __iter__(self) -> Iterator[Any]:
    for batch in self._dataset:
      yield batch[0] if isinstance(batch, tuple) else batch


def _shapes(name, extract, image_shape):
  """Return layer -> shape of one image's activations."""
  input_shape = extract.input_shape
  if len(input_shape) != len(image_shape) or any(
    size not in (None, given)
    for size, given in zip(input_shape, image_shape, strict=True)
  ):
    raise errors.InputError(
      f'{name} takes images of shape {input_shape}, not {image_shape}'
    )
  return extract.shapes(image_shape)


def _stages(model):
  try:
    return models.stages_of(model)
  except errors.InputError:  # A user-defined model without stages.
    return stages.Stages(())

"""The activations of models' named layers."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import dataclasses
from typing import Any

import keras
import tensorflow as tf

from transfusion_tf import errors
from transfusion_tf import models
from transfusion_tf.analysis import activation_source
from transfusion_tf.models import stages

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


def extractor(model: keras.Model, names: Sequence[str]) -> keras.Model:
  """Return a model of the activations at `names`, by name.

  It ends at the last of them: later layers are not computed.

  Args:
    model: Any functional or sequential model with one input.
    names: Stages, of a model that `models.build` made, or Keras layers.

  Raises:
    InputError: A name is neither (the message lists the known ones), or the
      model's layers cannot be read.
  """
  try:
    inputs = model.inputs
    outputs = {layer.name: layer.output for layer in model.layers}
  except (AttributeError, ValueError):
    raise errors.InputError(
      f'the layers of {model.name!r} cannot be read: it is no functional or '
      'sequential model, or has not been built'
    ) from None
  if len(inputs) != 1:
    raise errors.InputError(
      f'{model.name!r} has {len(inputs)} inputs; only images are given'
    )
  layers = stages.endpoint_layers(model, _stages(model), names)
  return keras.Model(inputs[0], {name: outputs[layers[name]] for name in names})


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
      extract = extractor(network.model, layers)
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
  extractor: keras.Model
  shapes: dict[str, tuple[int, ...]]

  def activations(self, network, images):
    images = network.prepare(images)
    if network.weights is None:
      return self.extractor(images, training=False)
    return self._with_weights(network.weights, images)

  @tf.function(reduce_retracing=True, autograph=False)
  def _with_weights(self, weights, images):
    pairs = zip(self.model.weights, weights, strict=True)
    with keras.StatelessScope(pairs):
      return self.extractor(images, training=False)


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
  input_shape = extract.inputs[0].shape[1:]
  if len(input_shape) != len(image_shape) or any(
    size not in (None, given)
    for size, given in zip(input_shape, image_shape, strict=True)
  ):
    raise errors.InputError(
      f'{name} takes images of shape {input_shape}, not {image_shape}'
    )
  shapes = extract.compute_output_shape((None, *image_shape))
  return {layer: tuple(shape[1:]) for layer, shape in shapes.items()}


def _stages(model):
  try:
    return models.stages_of(model)
  except errors.InputError:  # A user-defined model without stages.
    return stages.Stages(())

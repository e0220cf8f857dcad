"""The signatures of an exported network.

serve (and serving_default)
  image_bytes    string [N], JPEG or PNG files as the camera wrote them
  probabilities  float32 [N, K]; -1 where the status is not `ok`
  class_names    string [N, K]
  status         string [N], of `validate.STATUSES`
  decision       int32 [N, D], 1 or 0 at each threshold that is stored with the
                 run, or the number of the most probable class; -1 where the
                 status is not `ok`
  decision_names string [N, D]
  calibrated     float32 [N, K], probabilities at the temperature, if the run
                 has one
  referable      float32 [N], of graded data sets
serve_images
  images         uint8 [N, H, W, 3], such files decoded
  ...            as serve, without a status
activations
  image_bytes    as serve
  status         as serve
  <layer>        float32 [N, ...], for each stage or layer

serve_pixels
  pixels         float32 [N, C, C, 3], 0 to 255, as the run reads a prepared
                 image; N is at least 1
  ...            as serve, numbers alone: see `portable`
serve_pixels_1
  pixels         float32 [1, C, C, 3]: for compilers that want all sizes

pixels
  image_bytes    as serve
  status         as serve
  pixels         float32 [N, C, C, 3], what serve_pixels takes

Those that end in _prepared take files and images as a prepared data set stores
them. The two kinds are not told apart: a prepared file given to `serve` is
prepared a second time.

N may be 0. K is the number of classes. All numbers of an image that cannot be
used are -1, which JSON can hold and no probability is.
"""

from collections.abc import Sequence
import functools

import tensorflow as tf

from transfusion_tf import decisions as decisions_lib
from transfusion_tf.analysis import endpoints
from transfusion_tf.export import portable
from transfusion_tf.export import preparation as preparation_lib
from transfusion_tf.image_ops import validate
from transfusion_tf.run import build as run_lib

SERVE, SERVE_IMAGES, ACTIVATIONS = 'serve', 'serve_images', 'activations'
SERVE_PIXELS, SERVE_PIXELS_1 = 'serve_pixels', 'serve_pixels_1'
NO_ANSWER = -1.0  # In place of the numbers of an image that cannot be used.
PIXELS, IMAGE_BYTES = portable.PIXELS, 'image_bytes'
PREPARED = '_prepared'  # Ends the names of those that take prepared images.
SERVING_DEFAULT = 'serving_default'
_FILES = [tf.TensorSpec([None], tf.string, IMAGE_BYTES)]
_IMAGES = [tf.TensorSpec([None, None, None, 3], tf.uint8, 'images')]


def module(
  run: run_lib.Run,
  preparation: preparation_lib.Preparation,
  layers: Sequence[str],
  decisions: decisions_lib.Decisions | None = None,
) -> tf.Module:
  """Return the network as functions of images, to be saved.

  Args:
    run: The run, with the weights to be exported.
    preparation: The steps that raw files go through.
    layers: Stages or Keras layers for `activations`.
    decisions: How its probabilities are read.

  Raises:
    InputError: There is no such layer.
  """
  network = portable.module(run)
  network.class_names = tf.Variable(list(run.task.names), trainable=False)
  chosen = decisions or decisions_lib.Decisions()
  classify, activate = _networks(run, layers, chosen)
  for suffix, load, load_picture, stored_size in (
    (
      '',
      preparation.load,
      preparation.load_picture,
      preparation.stored_size,
    ),
    (
      PREPARED,
      preparation_lib.load_prepared,
      preparation_lib.load_prepared_picture,
      None,
    ),
  ):
    read = _reader(run, load, stored_size)
    pictures = _from_pictures(run, load_picture, classify)
    setattr(network, SERVE + suffix, _from_files(read, classify))
    setattr(network, SERVE_IMAGES + suffix, pictures)
    setattr(network, ACTIVATIONS + suffix, _from_files(read, activate))
    setattr(network, PIXELS + suffix, _from_files(read, _pixels))
  network.serve_pixels = portable.classifier(run)
  network.serve_pixels_1 = portable.of_one(network.serve_pixels)
  return network


def save(network: tf.Module, directory: str) -> None:
  """Write a network of `module` as a SavedModel."""
  signatures = {
    name + suffix: getattr(network, name + suffix)
    for name in (SERVE, SERVE_IMAGES, ACTIVATIONS, PIXELS)
    for suffix in ('', PREPARED)
  }
  signatures[SERVE_PIXELS] = network.serve_pixels
  signatures[SERVE_PIXELS_1] = network.serve_pixels_1
  signatures[SERVING_DEFAULT] = network.serve
  tf.saved_model.save(network, directory, signatures)


def _reader(run, load_file, stored_size):
  """Return a function: files -> images as the run reads them, and statuses."""
  read_stored, shape = run.source.reader.evaluation, _shape(run)
  load = validate.guarded(
    lambda file: load_file(file, read_stored), shape, stored_size
  )
  specs = (tf.TensorSpec(shape, tf.uint8), tf.TensorSpec([], tf.string))

  @tf.function(input_signature=_FILES, autograph=False)
  def read(files):
    return _one_by_one(load, files, specs)

  return read


def _networks(run, layers, decisions):
  """Return the functions behind `serve` and `activations`, each traced once."""
  spec = [tf.TensorSpec((None, *_shape(run)), tf.uint8)]
  extractor = endpoints.Extractor(run.model, layers)

  def classify(images):
    probabilities = _allow_empty(run.probabilities, images)
    outputs = portable.outputs(run, probabilities)
    # The names go with each image, as servers that batch requests need it.
    names = list(run.task.names)
    outputs['class_names'] = _to_each(names, images)
    return outputs | _decided(run.task, decisions, probabilities, images)

  def forward(images):
    return extractor(run.prepare_evaluation(images))

  def activate(images):
    return _allow_empty(forward, images)

  function = functools.partial(
    tf.function, input_signature=spec, autograph=False
  )
  return function(classify), function(activate)


def _decided(task, decisions, probabilities, images):
  """Return the outputs that the decisions of a run make."""
  outputs = {}
  if decisions.temperature is not None:
    outputs['calibrated'] = decisions.calibrated(task, probabilities)
  if names := decisions.names(task):
    outputs['decision'] = decisions.decide(task, probabilities)
    outputs['decision_names'] = _to_each(names, images)
  return outputs


def _to_each(names, images):
  return tf.broadcast_to(list(names), [tf.shape(images)[0], len(names)])


def _pixels(images):
  return {PIXELS: tf.cast(images, tf.float32)}


def _from_files(read, function):
  @tf.function(input_signature=_FILES, autograph=False)
  def serve(image_bytes):
    images, status = read(image_bytes)
    outputs = _only_where(status == validate.OK, function(images))
    return outputs | {'status': status}

  return serve


def _from_pictures(run, load_picture, classify):
  spec = tf.TensorSpec(_shape(run), tf.uint8)

  def load(image):
    return load_picture(image, run.source.reader.evaluation)

  @tf.function(input_signature=_IMAGES, autograph=False)
  def serve_images(images):
    return classify(_one_by_one(load, images, spec))

  return serve_images


def _shape(run):
  side = run.source.reader.evaluation_side
  return side, side, 3


def _one_by_one(load, batch, specs):
  """Apply `load` to each; a batch of hostile files needs the memory of one."""
  with tf.device('CPU'):  # Decoding runs there; so does what is in between.
    return tf.map_fn(
      load, batch, parallel_iterations=1, fn_output_signature=specs
    )


def _allow_empty(function, images):
  """Return `function` of [N, ...], N may be 0: batch norm needs an image."""
  count = tf.shape(images)[0]
  missing = tf.cast(count == 0, tf.int32)
  padded = tf.pad(images, [[0, missing], [0, 0], [0, 0], [0, 0]])
  outputs = function(tf.ensure_shape(padded, images.shape))
  return tf.nest.map_structure(lambda output: output[:count], outputs)


def _only_where(usable, outputs):
  """Return NO_ANSWER where an image is not usable; decisions stay int32."""

  def masked(output):
    if output.dtype == tf.string:
      return output
    if output.dtype != tf.int32:  # Not a decision.
      output = tf.cast(output, tf.float32)
    mask = tf.reshape(usable, [-1] + [1] * (output.shape.rank - 1))
    return tf.where(mask, output, tf.cast(NO_ANSWER, output.dtype))

  return tf.nest.map_structure(masked, outputs)

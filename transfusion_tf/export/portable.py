"""A network as every runtime takes it: pixels of a fixed size, in float32.

What decodes and prepares files has operations that only TensorFlow has. A
portable network begins after it: it takes `pixels`, float32 [N, C, C, 3] with
values 0 to 255, of images as the run's `ImageReader.evaluation` returns them,
and scales, normalizes and classifies them.
"""

from collections.abc import Callable, Iterator
import dataclasses

import numpy as np
import tensorflow as tf

from transfusion_tf import tasks
from transfusion_tf.input_pipeline import tfds_folder
from transfusion_tf.run import build as run_lib

PIXELS, PROBABILITIES = 'pixels', 'probabilities'
_NUM_REPRESENTATIVE = 200  # Images that show the range of activations.


@dataclasses.dataclass(frozen=True, eq=False)
class PortableNetwork:
  """A network for other runtimes.

  Attributes:
    name: The network's name.
    class_names: Names of its outputs.
    module: Holds its variables, and the function `serve_pixels`.
    training_images: Returns float32 [1, C, C, 3] each, of the training set.
    about: What is noted in a file: key -> text.
  """

  name: str
  class_names: tuple[str, ...]
  module: tf.Module
  training_images: Callable[[], Iterator[np.ndarray]]
  about: dict[str, str] = dataclasses.field(default_factory=dict)


def network(
  run: run_lib.Run,
  about: dict[str, str],
  classify: tf.types.experimental.PolymorphicFunction | None = None,
) -> PortableNetwork:
  """Return the network of a run.

  Args:
    run: The run, `in_float32`.
    about: As `PortableNetwork.about`.
    classify: Its `classifier`, if it has been traced.
  """
  holder = module(run)
  holder.serve_pixels = classify or classifier(run)
  return PortableNetwork(
    run.experiment.model.name,
    tuple(run.task.names),
    holder,
    lambda: _training_images(run),
    about,
  )


def module(run: run_lib.Run) -> tf.Module:
  """Return a module with a run's variables, for functions to be added.

  The Keras model stays out: saved with it, the functions' variables are not
  found by loaders of TensorFlow 1, which `saved_model_cli run` is.
  """
  holder = tf.Module(name='network')
  holder.weights = [variable.value for variable in run.model.variables]
  return holder


def in_float32(run: run_lib.Run) -> run_lib.Run:
  """Return a run with its weights in a network that computes in float32."""
  network = run.network.in_float32()
  if network is run.network:
    return run
  return dataclasses.replace(run, network=network)


def classifier(run: run_lib.Run) -> tf.types.experimental.PolymorphicFunction:
  """Return the function of pixels: `outputs` of a batch of any size."""
  side = run.source.reader.evaluation_side
  spec = tf.TensorSpec([None, side, side, 3], tf.float32, PIXELS)
  return _traced(lambda pixels: outputs(run, run.probabilities(pixels)), spec)


def of_one(
  classify: tf.types.experimental.PolymorphicFunction,
) -> tf.types.experimental.PolymorphicFunction:
  """Return a `classifier` of one image, of which all sizes are known."""
  (spec,) = classify.input_signature
  one = tf.TensorSpec([1, *spec.shape[1:]], spec.dtype, spec.name)
  # Traced anew: what is computed from sizes is a constant then.
  return _traced(classify.python_function, one)


def of_probabilities(
  classify: tf.types.experimental.PolymorphicFunction,
) -> tf.types.experimental.PolymorphicFunction:
  """Return a `classifier` without what is computed from probabilities."""
  (spec,) = classify.input_signature

  def probabilities(pixels):
    return {PROBABILITIES: classify.python_function(pixels)[PROBABILITIES]}

  return _traced(probabilities, spec)


def _traced(function, spec):
  """Return a `tf.function` that calls no others, as converters want it.

  Keras compiles some operations, as convolutions in groups.
  """
  traced = tf.function(function, input_signature=[spec], autograph=False)
  before = tf.config.functions_run_eagerly()
  tf.config.run_functions_eagerly(True)
  try:
    traced.get_concrete_function()
  finally:
    tf.config.run_functions_eagerly(before)
  return traced


def outputs(run: run_lib.Run, probabilities: tf.Tensor) -> dict[str, tf.Tensor]:
  """Return the numbers that a network answers, by name."""
  numbers = {PROBABILITIES: probabilities}
  if isinstance(run.task, tasks.Grades):
    numbers[run.task.primary_metric] = run.task.scores(probabilities)
  return numbers


def _training_images(run):
  source = run.source
  split = tfds_folder.TRAIN
  if split not in source.prepared.splits:
    split = source.prepared.splits[0]
  for record in source.prepared.records(split).take(_NUM_REPRESENTATIVE):
    image = source.reader.evaluation(source.prepared.parse(record)['image'])
    yield np.asarray(image, np.float32)[None]

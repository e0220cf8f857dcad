"""model.keras: the network as Keras loads it, to train it further."""

import dataclasses
import os

import keras
import tensorflow as tf

from transfusion_tf import errors
from transfusion_tf.export import agreement
from transfusion_tf.init.sources import files
from transfusion_tf.models import custom
from transfusion_tf.run import build as run_lib


class NotLoadableError(Exception):
  """Raised with the reason why Keras cannot save or load a network."""


@dataclasses.dataclass(frozen=True)
class KerasFile:
  """A file that Keras has loaded.

  Attributes:
    model: The network: normalized images -> logits.
    classes: Classes of layers that are not of Keras, name -> module, which
      have to be given to load the file.
    has_code: Whether the file holds Python code, as of `keras.layers.Lambda`,
      which Keras does not run unasked.
  """

  model: keras.Model
  classes: dict[str, str]
  has_code: bool

  def classify(self, run: run_lib.Run) -> agreement.Classify:
    """Return the function of stored images, with the run's preprocessing."""

    def probabilities(batch):
      images = run.prepare_evaluation(batch.pixels)
      logits = self.model(images, training=False)
      return run.task.probabilities(tf.cast(logits, tf.float32)).numpy()

    return probabilities


def write(run: run_lib.Run, path: str) -> KerasFile:
  """Write the Keras model of a run, and load it.

  Raises:
    NotLoadableError: It has a layer that Keras cannot save and load.
  """
  classes = custom.classes(run.model)
  try:
    run.model.save(path)
    model, has_code = _load(path, classes)
  except Exception as error:  # Layers of the user's raise anything.
    if isinstance(error, OSError) and error.errno:
      raise  # A full disk is no fault of theirs.
    if os.path.exists(path):
      os.remove(path)
    raise NotLoadableError(
      f'{run.model.name} has a layer that Keras cannot save and load '
      f'({errors.describe(error)})'
    ) from None
  files.record_input(path, run.experiment.data.normalization)
  modules = {name: kind.__module__ for name, kind in classes.items()}
  return KerasFile(model, modules, has_code)


def _load(path, classes):
  """Return the model, and whether Keras refuses to run code of the file."""
  try:
    return keras.models.load_model(path, classes, compile=False), False
  except ValueError:  # In safe mode that is what Keras raises for code.
    # Our own file: what Python code it holds is of the run's layers.
    model = keras.models.load_model(
      path, classes, compile=False, safe_mode=False
    )
    return model, True

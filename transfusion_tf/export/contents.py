"""The files of an export, each compared with the run when it is written."""

import os

import tensorflow as tf

from transfusion_tf import errors
from transfusion_tf import storage
from transfusion_tf.export import agreement as agreement_lib
from transfusion_tf.export import export_folder
from transfusion_tf.export import keras_file
from transfusion_tf.export import portable
from transfusion_tf.export import signatures
from transfusion_tf.export.runtimes import base
from transfusion_tf.export.runtimes import litert_metadata
from transfusion_tf.export.serving import examples
from transfusion_tf.export.serving import warm_up
from transfusion_tf.run import build as run_lib

SAVED_MODEL = 'SavedModel'
# Of two probabilities; the arithmetic is the same, its order may not be.
_MAX_DIFFERENCE = 1e-4


class Contents:
  """What has been written to a folder.

  Attributes:
    run: The run in float32.
    images: The stored images on which files are compared with it.
    agreements: File -> how well it agrees.
    in_training: How well the run in its own precision does; None if that is
      float32.
    keras: `model.keras`, None if Keras cannot load the network.
    example: A request to a server of the SavedModel, and its answer.
    runtimes: Those that have a file.
    remarks: Peculiarities of their files, which the card has, too.
    notes: Others that a user should know.
  """

  def __init__(self, run: run_lib.Run, folder: str, num_checked: int):
    """Classify the images.

    Args:
      run: The run.
      folder: A local folder.
      num_checked: The most images to compare on; 0 takes all.
    """
    self.run = portable.in_float32(run)
    self._folder = folder
    self.images = agreement_lib.StoredImages(self.run, num_checked)
    self.agreements: dict[str, agreement_lib.Agreement] = {}
    self.in_training: agreement_lib.Agreement | None = None
    if self.run is not run:
      self.in_training = self.images.compare(
        lambda batch: agreement_lib.probabilities(run, batch)
      )
    self.keras: keras_file.KerasFile | None = None
    self.example: examples.Example | None = None
    self.runtimes: list[base.Runtime] = []
    self.remarks: list[str] = []
    self.notes: list[str] = []

  def write_saved_model(self, network: tf.Module) -> None:
    """Write a module of `signatures`.

    Raises:
      RunError: As the other files, if it computes something else than the run.
    """
    signatures.save(network, self._folder)
    loaded = tf.saved_model.load(self._folder)
    serve = loaded.signatures[signatures.SERVE + signatures.PREPARED]
    self._compare(
      SAVED_MODEL, lambda batch: serve(batch.encoded)['probabilities'].numpy()
    )
    self.example = examples.make(loaded.signatures[signatures.SERVE])
    warm_up.write(self._folder, [examples.picture()])
    names = litert_metadata.labels(self.run.task.names)
    storage.write_text(self._path(export_folder.LABELS), names)

  def write_keras(self) -> None:
    """Write `model.keras`, or note why there is none."""
    name = export_folder.KERAS
    try:
      self.keras = keras_file.write(self.run, self._path(name))
    except keras_file.NotLoadableError as error:
      self.notes.append(f'no {name}: {error}')
      return
    self._compare(name, self.keras.classify(self.run))

  def write_for(
    self, runtime: base.Runtime, network: portable.PortableNetwork
  ) -> None:
    """Write the file of a runtime."""
    path = self._path(runtime.file)
    if remark := runtime.write(network, path):
      self.remarks.append(remark)
    classify = runtime.load(path)
    self._compare(
      runtime.file, lambda batch: classify(batch.pixels), runtime.is_rounded
    )
    self.runtimes.append(runtime)

  def _path(self, name):
    return os.path.join(self._folder, name)

  def _compare(self, name, classify, is_rounded=False):
    found = self.images.compare(classify)
    if not is_rounded and not found.difference <= _MAX_DIFFERENCE:
      raise errors.RunError(
        f'{name}: probabilities differ by {found.difference:.2g} from those of '
        'the run; nothing was exported'
      )
    self.agreements[name] = found

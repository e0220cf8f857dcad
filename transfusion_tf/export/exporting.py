"""The folder that an export makes: all of it, or nothing."""

from collections.abc import Iterator, Sequence
import contextlib
import dataclasses
import os

import keras
import numpy as np
import tensorflow as tf

from transfusion_tf import errors
from transfusion_tf import run_folder
from transfusion_tf import scratch
from transfusion_tf import storage
from transfusion_tf.export import model_card
from transfusion_tf.export import preparation as preparation_lib
from transfusion_tf.export import signatures
from transfusion_tf.export import tflite as tflite_lib
from transfusion_tf.init.sources import files
from transfusion_tf.input_pipeline import tfds_folder
from transfusion_tf.models import custom
from transfusion_tf.run import build as run_lib

KERAS, LITE, CARD = 'model.keras', 'model.tflite', 'model_card.md'
# What an export consists of.
_WRITTEN = {
  *('saved_model.pb', 'fingerprint.pb', 'variables', 'assets'),
  *(KERAS, LITE, CARD),
}
_NUM_CHECKED = 16  # Images on which an export is compared with its run.
# Of two probabilities; the arithmetic is the same, its order may not be.
_MAX_DIFFERENCE = 1e-4


@dataclasses.dataclass(frozen=True)
class Exported:
  """An export that was written.

  Attributes:
    directory: The folder.
    differences: File -> largest difference of any probability from the run's
      own, on `num_checked` stored images.
    num_checked: Number of images compared.
    notes: Peculiarities that a user should know.
  """

  directory: str
  differences: dict[str, float]
  num_checked: int
  notes: tuple[str, ...] = ()


def export(
  run: run_lib.Run,
  export_dir: str | os.PathLike,
  *,
  run_dir: str = '',
  step: int | None = None,
  layers: Sequence[str] = (),
  tflite: bool = False,
  overwrite: bool = False,
) -> Exported:
  """Write a run's network, with its present weights, to `export_dir`.

  Args:
    run: Built on one device.
    export_dir: A folder to make, on this machine or in a bucket.
    run_dir: The run's folder, if any; the model card takes results from it.
    step: Step of the checkpoint that the weights are from, if any.
    layers: Stages or Keras layers for the signature `activations`; all stages
      if empty.
    tflite: If true, `model.tflite` is written, too.
    overwrite: If true, an earlier export is replaced.

  Raises:
    InputError: The folder is in use, or there is no such layer.
    RunError: The exported network computes something else than the run.
  """
  export_dir = os.fspath(export_dir)
  _check_export_dir(export_dir, overwrite)
  if not storage.is_remote(export_dir):
    export_dir = os.path.abspath(export_dir)
  layers = tuple(layers) or run.stages.readable
  preparation = preparation_lib.from_dataset(run.source.prepared)
  network = signatures.module(run, preparation, layers)
  checked = _stored_files(run)
  images = tf.stack([run.source.reader.evaluation(e) for e in checked])
  expected = run.probabilities(images).numpy()
  with _atomic_folder(export_dir, overwrite) as partial:
    signatures.save(network, partial)
    differences = {
      'SavedModel': _difference(expected, _served(partial)(checked))
    }
    notes = _notes(run, run_dir)
    try:
      classify = _keras_file(run, os.path.join(partial, KERAS))
      differences[KERAS] = _difference(expected, classify(images))
    except _NotLoadableError as error:
      notes = (*notes, f'no {KERAS}: {error}')
    if tflite:
      path = os.path.join(partial, LITE)
      tflite_lib.write(run, path)
      read = tflite_lib.reader(path, run)
      differences[LITE] = _difference(expected, read(checked))
    for name, difference in differences.items():
      if not difference <= _MAX_DIFFERENCE:
        raise errors.RunError(
          f'{name}: probabilities differ by {difference:.2g} from those of the '
          'run; nothing was exported'
        )
    text = model_card.render(
      run, preparation, layers, run_dir, step, differences, len(checked)
    )
    storage.write_text(os.path.join(partial, CARD), text)
  return Exported(export_dir, differences, len(checked), notes)


def _notes(run, run_dir):
  prepared = run.source.prepared
  if not run_dir:
    return ()
  other = run_folder.begun_on_other(run_dir, prepared.fingerprint)
  if not other:
    return ()
  return (
    f'{prepared.directory} is not the data set of the training '
    f'({other["dataset"]}): the names of the outputs are the run’s, image '
    'files are prepared like those of this set',
  )


def _check_export_dir(export_dir, overwrite):
  if not storage.is_remote(export_dir) and not os.path.lexists(export_dir):
    return
  if not (found := storage.listdir(export_dir)) and (
    storage.is_remote(export_dir) or os.path.isdir(export_dir)
  ):
    return
  if storage.is_remote(export_dir) and set(found) <= _WRITTEN - {CARD}:
    return  # An upload was interrupted.
  if CARD not in found:
    raise errors.InputError(
      f'{export_dir} is there and is no export; choose another --export_dir'
    )
  if not overwrite:
    raise errors.InputError(
      f'{export_dir} holds an export; replace it with --overwrite or choose '
      'another --export_dir'
    )


@contextlib.contextmanager
def _atomic_folder(export_dir, overwrite) -> Iterator[str]:
  """Yield a folder that replaces `export_dir` if the block succeeds.

  An export in a bucket is complete once its card is there.
  """
  if storage.is_remote(export_dir):
    with storage.local_folder() as local:
      yield local
      storage.remove(os.path.join(export_dir, CARD))
      storage.remove_folder(export_dir)
      storage.upload_folder(local, export_dir, last=CARD)
    return
  with contextlib.ExitStack() as stack:
    with storage.convert_write_errors(export_dir):
      storage.makedirs(os.path.dirname(export_dir))
      partial = stack.enter_context(scratch.folder(export_dir))
    yield partial
    _check_export_dir(export_dir, overwrite)  # Another may have been faster.
    with storage.convert_write_errors(export_dir):
      replaced = stack.enter_context(scratch.folder(export_dir))
      _replace(export_dir, partial, os.path.join(replaced, 'export'))


def _replace(export_dir, partial, replaced):
  """Rename a folder `export_dir`, and an export of that name `replaced`."""
  if not storage.listdir(export_dir):
    os.rename(partial, export_dir)
    return
  os.rename(export_dir, replaced)
  try:
    os.rename(partial, export_dir)
  except OSError:
    os.rename(replaced, export_dir)
    raise


def _stored_files(run):
  """Return the first encoded images of the test split, or of the last."""
  source = run.source.prepared
  split = tfds_folder.TEST
  if split not in source.splits:
    split = source.splits[-1]
  records = source.records(split).take(_NUM_CHECKED)
  return [source.parse(record)['image'] for record in records]


def _difference(expected, found):
  """Return the largest difference from what the run itself computes."""
  return float(np.max(np.abs(found - expected)))


class _NotLoadableError(Exception):
  """Raised with the reason why Keras cannot save or load a network."""


def _keras_file(run, path):
  """Write the Keras model; return its function of images as the run reads."""
  try:
    run.model.save(path)
    # Our own file: what Python code it holds is of the run's layers.
    model = keras.models.load_model(
      path, custom.classes(run.model), compile=False, safe_mode=False
    )
  except Exception as error:  # Layers of the user's raise anything.
    if isinstance(error, OSError) and error.errno:
      raise  # A full disk is no fault of theirs.
    if os.path.exists(path):
      os.remove(path)
    raise _NotLoadableError(
      f'{run.model.name} has a layer that Keras cannot save and load '
      f'({errors.describe(error)})'
    ) from None
  files.record_input(path, run.experiment.data.normalization)

  def classify(images):
    logits = model(run.prepare_evaluation(images), training=False)
    return run.task.probabilities(tf.cast(logits, tf.float32)).numpy()

  return classify


def _served(directory):
  loaded = tf.saved_model.load(directory)
  serve = loaded.signatures[signatures.SERVE + signatures.PREPARED]
  return lambda encoded: serve(tf.stack(encoded))['probabilities'].numpy()

"""From a run to a folder: the files, and the card that tells what they are."""

from collections.abc import Collection, Sequence
import dataclasses
import json
import os

from transfusion_tf import storage
from transfusion_tf.export import about as about_lib
from transfusion_tf.export import agreement
from transfusion_tf.export import contents as contents_lib
from transfusion_tf.export import export_folder
from transfusion_tf.export import model_card
from transfusion_tf.export import portable
from transfusion_tf.export import preparation as preparation_lib
from transfusion_tf.export import runtimes as runtimes_lib
from transfusion_tf.export import signatures
from transfusion_tf.input_pipeline import stored_form
from transfusion_tf.run import build as run_lib
from transfusion_tf.run import description as description_lib
from transfusion_tf.run import record as record_lib

KERAS, CARD = export_folder.KERAS, export_folder.CARD
NUM_CHECKED = 200  # Images on which an export is compared with its run.


@dataclasses.dataclass(frozen=True)
class Exported:
  """An export that was written.

  Attributes:
    directory: The folder.
    agreements: File -> how well it agrees with the run in float32, on
      `num_checked` stored images.
    in_training: How well the run in its own precision does; None if that is
      float32.
    num_checked: Number of images compared.
    score: The run's primary metric of them.
    notes: Peculiarities that a user should know.
  """

  directory: str
  agreements: dict[str, agreement.Agreement]
  in_training: agreement.Agreement | None
  num_checked: int
  score: float
  notes: tuple[str, ...] = ()

  @property
  def differences(self) -> dict[str, float]:
    """File -> largest difference of any probability."""
    return {name: a.difference for name, a in self.agreements.items()}


def export(
  run: run_lib.Run,
  export_dir: str | os.PathLike,
  *,
  run_dir: str = '',
  step: int | None = None,
  record: record_lib.Record | None = None,
  layers: Sequence[str] = (),
  runtimes: Collection[str] = (),
  about: about_lib.About = about_lib.NOT_STATED,
  num_checked: int = NUM_CHECKED,
  overwrite: bool = False,
) -> Exported:
  """Write a run's network, with its present weights, to `export_dir`.

  It computes in float32, whatever the precision of the training.

  Args:
    run: Built on one device.
    export_dir: A folder to make, on this machine or in a bucket.
    run_dir: The run's folder, if any; the model card takes results from it.
    step: Step of the checkpoint that the weights are from, if any.
    record: What is known of the network, in place of `run_dir` and `step`.
    layers: Stages or Keras layers for the signature `activations`; all stages
      if empty.
    runtimes: Names of `runtimes.RUNTIMES` that get a file.
    about: What only its owner can say of it.
    num_checked: The most stored images on which it is compared with the run; 0
      takes all.
    overwrite: If true, an earlier export is replaced.

  Raises:
    InputError: The folder is in use, there is no such layer, or a runtime is
      not installed or lacks the network's operations.
    RunError: The exported network computes something else than the run.
  """
  export_dir = os.fspath(export_dir)
  chosen = runtimes_lib.named(runtimes)
  export_folder.check(export_dir, overwrite)
  if not storage.is_remote(export_dir):
    export_dir = os.path.abspath(export_dir)
  layers = tuple(layers) or run.stages.readable
  preparation = preparation_lib.from_dataset(run.source.prepared)
  record = record or record_lib.of_run(run_dir, step)
  with export_folder.atomic(export_dir, overwrite) as partial:
    contents = contents_lib.Contents(run, partial, num_checked)
    network = signatures.module(
      contents.run, preparation, layers, record.decisions
    )
    contents.write_saved_model(network)
    description = description_lib.Description(
      run.experiment.model.name,
      record.step,
      run.task,
      stored_form.from_dataset(run.source.prepared),
      record.decisions,
    )
    description_lib.write(description, partial)
    contents.write_keras()
    small = portable.network(
      contents.run, _facts(run, record, about), network.serve_pixels
    )
    for runtime in chosen:
      contents.write_for(runtime, small)
    text = model_card.render(run, preparation, layers, record, contents, about)
    storage.write_text(os.path.join(partial, CARD), text)
  return Exported(
    export_dir,
    contents.agreements,
    contents.in_training,
    contents.images.count,
    contents.images.score,
    (*_notes(run, record), *contents.notes, *contents.remarks),
  )


def _notes(run, record):
  prepared = run.source.prepared
  other = record.other(prepared.known_as)
  if not other:
    return ()
  return (
    f'{prepared.directory} is not the data set of the training '
    f'({other["dataset"]}): the names of the outputs are the run’s, image '
    'files are prepared like those of this set',
  )


def _facts(run, record, about):
  """Return what is noted in the files of runtimes."""
  side = run.source.reader.evaluation_side
  data = model_card.trained_on(run, record)
  facts = {
    'description': f'{run.experiment.model.name}, trained on {data}',
    'pixels': f'float32 [N, {side}, {side}, 3], RGB, 0 to 255; see {CARD}',
    'class_names': json.dumps(list(run.task.names)),
    'author': about.owner,
    'license': about.license,
  }
  return {key: text for key, text in facts.items() if text}

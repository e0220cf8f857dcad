"""A run, or an export, as a function of encoded pictures, on all devices."""

from collections.abc import Callable, Sequence
import dataclasses
import hashlib
import os

import numpy as np
import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import cores
from transfusion_tf import errors
from transfusion_tf import run_folder
from transfusion_tf import storage
from transfusion_tf.image_ops import validate
from transfusion_tf.input_pipeline import image_reader
from transfusion_tf.input_pipeline import stored_form
from transfusion_tf.run import build as run_lib
from transfusion_tf.run import description as description_lib
from transfusion_tf.run import ensemble
from transfusion_tf.run import ensemble_scores
from transfusion_tf.run import network as network_lib
from transfusion_tf.run import scores as scores_lib
from transfusion_tf.train import strategy as strategy_lib

_SERVE = 'serve_prepared'
_PROBABILITIES, _STATUS = 'probabilities', 'status'
_READ_BYTES = 1 << 24

# A batch of encoded pictures, on one device -> probabilities and statuses.
_Forward = Callable[['tf.Tensor'], tuple['tf.Tensor', 'tf.Tensor']]


@dataclasses.dataclass(frozen=True, eq=False)
class Classifier:
  """A trained network, with what it takes and what its answers mean.

  Attributes:
    description: How it is used.
    fingerprint: A hash of the network with its weights.
    batch_size: Pictures of one call, over all devices.
    probabilities: Encoded pictures, at most as many -> probabilities [N, K],
      and of each `validate.OK` or why it has none.
  """

  description: description_lib.Description
  fingerprint: str
  batch_size: int
  probabilities: Callable[[Sequence[bytes]], tuple[np.ndarray, np.ndarray]]


@dataclasses.dataclass(frozen=True, eq=False)
class LoadedRun:
  """A run's network at one of its checkpoints.

  Attributes:
    experiment: The config.
    description: How the network is used.
    network: The network.
    read: Encoded pictures [N] -> uint8 [N, C, C, 3], which the network's
      preparation takes, and of each `validate.OK` or why it is not decoded.
  """

  experiment: config.Experiment
  description: description_lib.Description
  network: network_lib.Network
  read: Callable[['tf.Tensor'], tuple['tf.Tensor', 'tf.Tensor']]


def load(run_dir: str, which: str, **changes) -> LoadedRun:
  """Load a run's network.

  Its data set is not opened, unless an earlier version began the run: that did
  not record how pictures are stored.

  Args:
    run_dir: The run's folder.
    which: The checkpoint, as in `run_folder.checkpoint_step`.
    **changes: Changes to the run's `config.Runtime`.

  Raises:
    InputError: No such checkpoint, or the network has changed.
  """
  experiment, task, form = _of_folder(run_dir, which, changes)
  network = run_lib.load_network(run_dir, which, task, **changes)
  step = run_folder.checkpoint_step(run_dir, which)
  description = description_lib.Description(
    experiment.model.name, step, task, form, run_folder.decisions(run_dir, step)
  )
  return _of_network(network, experiment, description)


def from_runs(named: Sequence[tuple[str, str]], **changes) -> Classifier:
  """Return the ensemble of several runs; see `from_run`.

  Args:
    named: Folder and checkpoint of each.
    **changes: Changes to the runs' `config.Runtime`.

  Raises:
    InputError: As `run.ensemble.load_network`.
  """
  experiment, task, form = _of_folder(*named[0], changes)
  network, parts = ensemble.load_network(named, task, **changes)
  description = description_lib.Description(
    network.model.name,
    None,
    task,
    form,
    ensemble_scores.decisions(parts, task),
  )
  return _classifier(_of_network(network, experiment, description))


def _of_folder(run_dir, which, changes):
  """Return a run's config, task and the form of its images."""
  experiment = run_lib.load_config(run_dir, **changes)
  task = run_folder.task(run_dir, experiment.data)
  form = scores_lib.stored_form(run_dir, experiment)
  if task is None:
    task = run_lib.load_run(run_dir, which, **changes).task
  return experiment, task, form


def _of_network(network, experiment, description):
  form = description.form
  reader = image_reader.ImageReader(experiment.data, form.square_side)
  side = reader.evaluation_side
  shape = (side, side, 3)
  # What preparing stored decodes; a file that is left as it is may not.
  guarded = validate.guarded(reader.evaluation, shape)

  def read(encoded):
    if form.kind == stored_form.AS_IT_IS:
      return guarded(encoded)
    return reader.evaluation(encoded), tf.constant(validate.OK)

  specs = (tf.TensorSpec(shape, tf.uint8), tf.TensorSpec([], tf.string))

  @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
  @tf.autograph.experimental.do_not_convert
  def read_all(files):
    return tf.map_fn(
      read,
      files,
      parallel_iterations=cores.available(),
      fn_output_signature=specs,
    )

  return LoadedRun(experiment, description, network, read_all)


def from_run(run_dir: str, which: str, **changes) -> Classifier:
  """Return the network of a run, as `load` does."""
  return _classifier(load(run_dir, which, **changes))


def _classifier(loaded):
  experiment, network = loaded.experiment, loaded.network
  digest = hashlib.sha256(repr(experiment.data).encode())
  for variable in network.model.variables:
    digest.update(variable.numpy().tobytes())
  return Classifier(
    loaded.description,
    digest.hexdigest(),
    experiment.runtime.eval_batch_size * _num_replicas(network.strategy),
    _spread(
      network.strategy,
      experiment.runtime.eval_batch_size,
      network.probabilities,
      loaded.read,
    ),
  )


def from_export(export_dir: str, batch_size: int) -> Classifier:
  """Return the network of an exported folder, on one device.

  A loaded function that decodes files does not return where two replicas call
  it at once (TensorFlow 2.21).

  Args:
    export_dir: The folder.
    batch_size: Pictures of one call.

  Raises:
    InputError: It is no export, or of an earlier version.
  """
  description = description_lib.read(export_dir)
  try:
    loaded = tf.saved_model.load(export_dir)
    serve = loaded.signatures[_SERVE]
  except (OSError, KeyError, tf.errors.OpError) as error:
    raise errors.InputError(
      f'{export_dir} is no SavedModel of export.py ({storage.reason(error)}); '
      'export the run again'
    ) from None
  serve.network = loaded  # Its variables live as long as it does.

  def forward(files):
    outputs = serve(files)
    return outputs[_PROBABILITIES], outputs[_STATUS]

  return Classifier(
    description,
    _file_digest(export_dir),
    batch_size,
    _spread(tf.distribute.get_strategy(), batch_size, forward),
  )


def _num_replicas(strategy):
  if strategy_lib.num_hosts(strategy) > 1:
    raise errors.InputError(
      'predict.py runs on one host: divide the list of pictures, and give each '
      'host its part and an --output of its own, without TF_CONFIG'
    )
  return strategy.num_replicas_in_sync


def _spread(strategy, per_replica, forward, read_all=None):
  """Return `Classifier.probabilities`.

  Every device gets a batch of the same size as in evaluation, so that the
  scores of a picture have the same bits.
  """
  count = per_replica * strategy.num_replicas_in_sync

  @tf.function(autograph=False)
  def outputs(batch):
    found = strategy.run(forward, (batch,))
    return tf.nest.map_structure(
      lambda value: strategy.gather(value, axis=0), found
    )

  def probabilities(encoded):
    padded = [*encoded, *encoded[-1:] * (count - len(encoded))]
    batch, status = tf.constant(padded), None
    if read_all:
      batch, status = read_all(batch)

    def part(context):
      start = context.replica_id_in_sync_group * per_replica
      return batch[start : start + per_replica]

    found = outputs(strategy.experimental_distribute_values_from_function(part))
    if not read_all:
      found, status = found
    return (
      found.numpy()[: len(encoded)],
      status.numpy().astype(str)[: len(encoded)],
    )

  return probabilities


def _file_digest(export_dir):
  """Return a hash of the files of a SavedModel."""
  digest = hashlib.sha256()
  for name in ('saved_model.pb', 'variables', 'assets'):
    path = os.path.join(export_dir, name)
    inner = sorted(storage.listdir(path)) if storage.isdir(path) else ['']
    for file in inner:
      with tf.io.gfile.GFile(os.path.join(path, file).rstrip('/'), 'rb') as f:
        while part := f.read(_READ_BYTES):
          digest.update(part)
  return digest.hexdigest()

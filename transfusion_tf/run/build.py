"""The composition root: builds the parts of a run.

`build` builds them from a config, `load_run` from a run folder;
`train_and_evaluate` trains them, `analysis` compares them, `export` exports
them.
"""

from collections.abc import Callable, Iterable, Sequence
import dataclasses
import math
import os
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import datasets
from transfusion_tf import errors
from transfusion_tf import label_map
from transfusion_tf import metrics
from transfusion_tf import output_names
from transfusion_tf import run_folder
from transfusion_tf import tasks
from transfusion_tf.input_pipeline import example_order
from transfusion_tf.input_pipeline import pipeline
from transfusion_tf.input_pipeline import tfds_folder
from transfusion_tf.models import fingerprint
from transfusion_tf.models import graph as graph_lib
from transfusion_tf.models import stages as stages_lib
from transfusion_tf.models import state as state_lib
from transfusion_tf.run import network as network_lib
from transfusion_tf.train import checkpoint
from transfusion_tf.train import evaluation
from transfusion_tf.train import strategy as strategy_lib

# From which on decoding a split once costs less than it saves.
_SEVERAL_EPOCHS = 2


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
  """The parts of a run, shared by training, evaluation and analysis."""

  experiment: config.Experiment
  source: example_order.ExampleSource
  network: network_lib.Network

  @property
  def model(self) -> keras.Model:
    """The network itself."""
    return self.network.model

  @property
  def stages(self) -> stages_lib.Stages:
    """The stages of the network."""
    return self.network.stages

  @property
  def strategy(self) -> tf.distribute.Strategy:
    """The devices."""
    return self.network.strategy

  @property
  def task(self) -> tasks.Task:
    """The meaning of the network's outputs."""
    return self.source.task

  @property
  def primary_metric(self) -> str:
    """The metric that selects the checkpoint and is compared."""
    chosen = self.experiment.train.primary_metric
    return chosen or self.task.primary_metric

  @property
  def settings(self) -> dict[str, Any]:
    """The config, dotted field -> value."""
    return config.flatten(self.experiment)

  @property
  def members(self) -> tuple[str, ...]:
    """What it is the mean of, by name; empty unless it is an ensemble."""
    return ()

  def prepare_training(self, batch: dict) -> 'tf.Tensor':
    """Convert a training batch to the network's input."""
    return self.network.prepare_training(batch)

  def prepare_evaluation(self, images: 'tf.Tensor') -> 'tf.Tensor':
    """Convert uint8 [B, C, C, 3] to the network's input."""
    return self.network.prepare_evaluation(images)

  def probabilities(self, images: 'tf.Tensor') -> 'tf.Tensor':
    """Compute probabilities: uint8 [B, C, C, 3] -> float32 [B, K]."""
    return self.network.probabilities(images)

  def predictor(
    self, on_batch: Callable[[], None] = lambda: None
  ) -> Callable[[str], np.ndarray]:
    """Return a function: split -> its N examples' [N, K] probabilities.

    Args:
      on_batch: Called after each batch.
    """
    prepared = self.source.prepared

    def predict(split):
      return self.network.evaluator(
        self.passes(split), prepared.num_examples(split), on_batch
      )

    return predict

  def passes(self, split: str) -> evaluation.Passes:
    """Return the passes over a split, the same ones at every call."""
    passes = self.network.passes
    if split not in passes:
      passes[split] = self._evaluation_passes(split)
    return passes[split]

  def check_batch_size(self, lanes: int = 0) -> None:
    """Check what `training_batches` divides, without building it.

    Raises:
      InputError: The batch does not divide among devices and lanes.
    """
    hosts = strategy_lib.num_hosts(self.strategy)
    shard = example_order.Shard.for_worker(0, hosts, lanes)
    for parts in (shard.num_lanes, self.strategy.num_replicas_in_sync):
      example_order.checked_div(
        self.experiment.train.batch_size, parts, 'batch'
      )

  def training_batches(self, start_step: int, lanes: int = 0) -> Iterable[dict]:
    """Return distributed training batches from `start_step` on.

    Args:
      start_step: Number of steps already taken.
      lanes: `Shard.num_lanes`; 0 is one per host.

    Raises:
      InputError: The batch does not divide among devices and lanes.
    """
    batch_size = self.experiment.train.batch_size

    def host_dataset(host, num_hosts):
      shard = example_order.Shard.for_worker(host, num_hosts, lanes)
      return pipeline.train(self.source, batch_size, start_step, shard)

    return self._distributed(batch_size, host_dataset)

  def _evaluation_passes(self, split):
    # The batch of a device is the same on any number of devices, so that an
    # example's scores have the same bits.
    per_replica = self.experiment.runtime.eval_batch_size
    batch_size = per_replica * self.strategy.num_replicas_in_sync

    def host_dataset(host, num_hosts):
      return pipeline.evaluation(
        self.source, split, batch_size // num_hosts, host, num_hosts
      ).repeat()

    return evaluation.Passes(
      self._distributed(batch_size, host_dataset),
      math.ceil(self.source.prepared.num_examples(split) / batch_size),
    )

  def _distributed(self, batch_size, host_dataset):
    """Distribute the batches of each host over its devices."""
    per_replica = example_order.checked_div(
      batch_size, self.strategy.num_replicas_in_sync, 'batch'
    )

    def cut(context):
      batches = host_dataset(
        context.input_pipeline_id, context.num_input_pipelines
      )
      return batches.rebatch(per_replica, drop_remainder=True)

    return strategy_lib.distribute(self.strategy, cut)

  def followed(
    self, split: str, probabilities: np.ndarray
  ) -> dict[str, metrics.Metric]:
    """Return the metrics that are of interest at every evaluation."""
    names = self.task.followed(self.primary_metric)
    return self.task.metrics(probabilities, self.labels(split), names)

  def metrics(
    self, split: str, probabilities: np.ndarray
  ) -> dict[str, metrics.Metric]:
    """Return the task's metrics of [N, K] probabilities."""
    return self.task.metrics(probabilities, self.labels(split))

  def labels(self, split: str) -> dict:
    """Return the labels that `split` is scored against: feature key -> [N]."""
    if self.experiment.data.shuffle_labels and split != tfds_folder.TEST:
      index = self.source.prepared.index(split)
      shuffled = example_order.shuffled_labels(index, self.source.seed)
      return self.source.label_map(shuffled)
    return self.source.labels(split)


def build(
  experiment: config.Experiment,
  task: tasks.Task | None = None,
  dataset: str = '',
  class_map: Sequence[str] = (),
  shared: network_lib.Shared | None = None,
) -> Run:
  """Open the data and build the network, with the initial weights of Keras.

  Args:
    experiment: The config.
    task: The meaning of the outputs; the labels of the data set if None.
    dataset: A data set to open in place of the experiment's.
    class_map: `THEIRS=OURS`: a name in the data set, and that of an output.
    shared: Where network and data come from, and stay for the next run.

  Raises:
    InputError: Something in `experiment` does not exist or does not fit.
  """
  data = experiment.data
  shared = shared or network_lib.Shared()
  prepared = shared.prepared(
    tfds_folder.open_dataset(
      experiment.runtime.data_dir, dataset or data.dataset
    )
  )
  if task is None:
    task = tasks.make(prepared.label_kind, prepared.label_names, data)
  if experiment.train.primary_metric:
    task.check_primary(experiment.train.primary_metric)
  network = shared.network(experiment, task, prepared.fingerprint)
  return Run(
    experiment=experiment,
    source=example_order.ExampleSource(
      prepared,
      task,
      data,
      experiment.seed,
      label_map.parse(class_map, prepared.label_names, task.names),
      _image_memory(experiment, prepared),
    ),
    network=network,
  )


def _image_memory(experiment, prepared):
  """Return the share of the free memory that pays: none in a single epoch."""
  if tfds_folder.TRAIN not in prepared.splits:  # Of another site, to score.
    return 0.0
  train = experiment.train
  num_examples = experiment.data.subset or prepared.num_examples(
    tfds_folder.TRAIN
  )
  epochs = train.train_epochs
  if train.train_steps:
    epochs = train.train_steps * train.batch_size / max(num_examples, 1)
  return experiment.runtime.image_memory if epochs >= _SEVERAL_EPOCHS else 0.0


def load_run(
  run_dir: str,
  which: str = '',
  dataset: str = '',
  class_map: Sequence[str] = (),
  **changes,
) -> Run:
  """Load a trained run with the weights of one of its checkpoints.

  Args:
    run_dir: The folder of the run.
    which: The checkpoint, as in `run_folder.checkpoint_step`.
    dataset: A data set to open in place of the run's.
    class_map: `THEIRS=OURS`, as in `build`.
    **changes: Changes to the run's `config.Runtime`, e.g. another `data_dir`.
  """
  # Whoever looks at a trained run reads each image about once.
  experiment = load_config(run_dir, **{'image_memory': 0.0} | changes)
  task = run_folder.task(run_dir, experiment.data)
  if task is None and (dataset or 'data_dir' in changes):
    raise errors.InputError(
      f'{run_dir}: an earlier version began this run, did not keep the names '
      'of its outputs and did not finish it: only the data set that it was '
      'begun on tells them'
    )
  run = build(experiment, task, dataset, class_map)
  step = run_folder.checkpoint_step(run_dir, which)
  load_weights(run, run_dir, step)
  return run


def load_network(
  run_dir: str,
  which: str,
  task: tasks.Task,
  devices: tf.distribute.Strategy | None = None,
  **changes,
) -> network_lib.Network:
  """Load the network of a trained run, without its data.

  Args:
    run_dir: The folder of the run.
    which: The checkpoint, as in `run_folder.checkpoint_step`.
    task: The meaning of its outputs.
    devices: The devices; those of the run's config if None.
    **changes: Changes to the run's `config.Runtime`.

  Raises:
    InputError: As `read_weights`.
  """
  experiment = load_config(run_dir, **changes)
  network = network_lib.Network(experiment, task, devices)
  _check_network(network, experiment, run_dir)
  step = run_folder.checkpoint_step(run_dir, which)
  state_lib.assign(network.model, _weights(network.model, run_dir, step))
  return network


def load_config(run_dir: str, **changes) -> config.Experiment:
  """Read the config of a run and apply changes to its `config.Runtime`."""
  experiment = config.load(os.path.join(run_dir, run_folder.CONFIG))
  runtime = dataclasses.replace(experiment.runtime, **changes)
  return dataclasses.replace(experiment, runtime=runtime)


def load_weights(run: Run, run_dir: str, step: int) -> None:
  """Load the weights of a checkpoint into `run.model`."""
  state_lib.assign(run.model, read_weights(run, run_dir, step))


def read_weights(run: Run, run_dir: str, step: int) -> list[np.ndarray]:
  """Read a checkpoint's weights, in the order of `run.model.weights`.

  Raises:
    InputError: The network is no longer the one that was trained, or no such
      checkpoint.
  """
  check_network(run, run_dir)
  return _weights(run.model, run_dir, step)


def _weights(model, run_dir, step):
  weights = checkpoint.read(os.path.join(run_dir, run_folder.CHECKPOINTS), step)
  return [weights[w.path] for w in graph_lib.Graph(model).weights]


def check_network(run: Run, run_dir: str) -> None:
  """Raise InputError if a run folder is of another network than `run`'s."""
  _check_network(run.network, run.experiment, run_dir)


def _check_network(network, experiment, run_dir):
  trained = run_folder.network(run_dir)
  if not trained:
    return
  differences = fingerprint.differences(trained['layers'], network.layers)
  if differences:
    raise errors.InputError(
      f'{run_dir}: {experiment.model.name} has changed since this run '
      f'began: it {differences}; restore its code, or train again in another '
      '--run_dir'
    )


def evaluate(
  run: Run, split: str, probabilities: np.ndarray | None = None
) -> tuple[pd.DataFrame, dict[str, metrics.Summary]]:
  """Score a split with the current weights.

  Args:
    run: The run.
    split: Name of the split.
    probabilities: [N, K], if they are already known.

  Returns:
    `score_table`, and metric -> its summary.
  """
  if probabilities is None:
    with pipeline.convert_image_errors(run.source):
      probabilities = run.predictor()(split)
  patients = run.source.prepared.index(split).patient_ids
  scored = run.metrics(split, probabilities)
  summaries = metrics.summaries(scored, patients)
  return score_table(run, split, probabilities), summaries


def score_table(
  run: Run, split: str, probabilities: np.ndarray
) -> pd.DataFrame:
  """Return a row for each example of a split.

  It has the ids, K probabilities, the name of the true class or grade, the
  columns of each metric, and the groups that the example belongs to.

  Args:
    run: The run.
    split: Name of the split.
    probabilities: [N, K].
  """
  index = run.source.prepared.index(split)
  scores = {'image_id': index.image_ids, 'patient_id': index.patient_ids}
  scores |= {n: probabilities[:, k] for k, n in enumerate(run.task.names)}
  if run.task.kind != output_names.FINDINGS:
    true = run.labels(split)[run.task.kind]
    scores[output_names.TRUE] = np.array(run.task.names, object)[true]
  for name, metric in run.metrics(split, probabilities).items():
    scores |= metric.columns(name)
  groups = run.source.prepared.subgroups.reindex(index.image_ids)
  for column in groups:
    scores[f'{column}:group'] = groups[column].fillna(datasets.NO_GROUP).array
  return pd.DataFrame(scores)

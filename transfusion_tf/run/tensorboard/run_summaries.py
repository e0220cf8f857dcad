"""The TensorBoard summaries of a run while it trains."""

import hashlib
import math
import os

import numpy as np

from transfusion_tf import config
from transfusion_tf import run_folder
from transfusion_tf.input_pipeline import augment
from transfusion_tf.input_pipeline import example_order
from transfusion_tf.input_pipeline import pipeline
from transfusion_tf.input_pipeline import tfds_folder
from transfusion_tf.run import build as run_lib
from transfusion_tf.run.tensorboard import event_files
from transfusion_tf.run.tensorboard import plots
from transfusion_tf.train import history
from transfusion_tf.train import progress
from transfusion_tf.train import strategy as strategy_lib

# The columns of the HParams table.
_HPARAMS = (
  'dataset',
  'image_size',
  'subset',
  'shuffle_labels',
  'model',
  'slim_from',
  'init',
  'pretrained',
  'upto',
  'bn_init',
  'conv1',
  'freeze_upto',
  'optimizer',
  'learning_rate',
  'batch_size',
  'seed',
)
# TensorBoard shows ten images of a tag by default.
_MAX_PICTURES = 10
_SHEET_IMAGES = 8


class RunSummaries:
  """Writes the TensorBoard summaries of one run."""

  def __init__(
    self,
    built: run_lib.Run,
    run_dir: str,
    total_steps: int,
    is_chief: bool = True,
  ):
    """Initialize; only the chief writes RUN/tensorboard."""
    self._built = built
    self._run_dir = run_dir
    self._plots_enabled = is_chief and built.experiment.runtime.pictures
    self._steps = picture_steps(total_steps, built.experiment.train.eval_every)
    self._summaries = event_files.Summaries(
      os.path.join(run_dir, run_folder.TENSORBOARD),
      built.primary_metric,
      is_chief,
    )

  def begin(self, step: int | None) -> None:
    """Begin a session at `step`; the run is new if None."""
    self._summaries.begin(step)
    if step is None:
      name = _trial(self._run_dir)
      self._summaries.hparams(name, hparams(self._built.experiment))
      if self._plots_enabled:
        self._summaries.images(0, {'train/first_batch': self._first_batch()})

  def row(
    self,
    row: history.Row,
    throughput: progress.Throughput | None,
    probabilities: np.ndarray,
  ) -> None:
    """Write a row of metrics.jsonl, with plots at some steps.

    Args:
      row: The row.
      throughput: Throughput of the steps before it.
      probabilities: Probabilities [N, K] of the validation split at its step.
    """
    self._summaries.row(row, throughput)
    step = row['step']
    if self._plots_enabled and step in self._steps:
      self._summaries.images(step, self._pictures(probabilities))
      self._summaries.histograms(step, self._weights())

  def end(self, step: int, test: dict[str, dict[str, float | None]]) -> None:
    """End the run; `test` are the metrics of its checkpoint at `step`."""
    self._summaries.end(step, {name: m['value'] for name, m in test.items()})

  def _pictures(self, probabilities):
    built, pictures = self._built, {}
    labels = built.labels(tfds_folder.VALIDATION)
    confusions = plots.confusions(built.task, probabilities, labels)
    if confusions:
      pictures['validation/confusion'] = plots.confusion(confusions)
    filters = plots.filters(built.model)
    if filters is not None:
      pictures['train/first_filters'] = filters
    return pictures

  def _weights(self):
    """Return the kernels; the other weights are too small for a histogram."""
    return {
      f'weights/{weight.path.removesuffix("/kernel")}': weight.numpy()
      for weight in self._built.model.weights
      if len(weight.shape) > 1
    }

  def _first_batch(self):
    """Plot augmented images of the run's first batch, with their targets."""
    built, data = self._built, self._built.experiment.data
    train = built.experiment.train
    shard = example_order.Shard.for_worker(
      0, strategy_lib.num_hosts(built.strategy), train.lanes
    )
    batches = pipeline.train(built.source, train.batch_size, shard=shard)
    batch = {k: v[:_SHEET_IMAGES] for k, v in next(iter(batches)).items()}
    images = augment.augment(
      batch['image'], batch['uniforms'], data.image_size, data.augment
    )
    is_positive = (batch['targets'] * batch['mask']).numpy() > 0
    names = np.array(built.task.names)
    captions = [', '.join(names[row]) or 'none' for row in is_positive]
    return plots.sheet(images.numpy(), captions)


def _trial(run_dir):
  """Return a name of the run that does not tell where on a disk it is."""
  path = os.path.abspath(run_dir)
  digest = hashlib.sha256(path.encode()).hexdigest()
  return f'{os.path.basename(path)}-{digest[:8]}'


def hparams(experiment: config.Experiment) -> dict[str, str | float]:
  """Return the values that distinguish runs, for the HParams table."""
  values = config.flatten(experiment)
  return {name: values[config.FLAGS[name]] for name in _HPARAMS}


def picture_steps(total: int, eval_every: int) -> set[int]:
  """Return the evaluation steps with plots, evenly spaced, with both ends."""
  evaluations = [0, *range(eval_every, total, eval_every), total]
  every = math.ceil((len(evaluations) - 1) / (_MAX_PICTURES - 1))
  return {0, *evaluations[:0:-every]}

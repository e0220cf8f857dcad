"""What a run shows of itself on TensorBoard while it trains."""

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
_SETTINGS = (
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
# TensorBoard shows ten images of a tag, unless it is told otherwise.
_MOST_PICTURES = 10
_SHEET_IMAGES = 8


class Board:
  """The TensorBoard of one run."""

  def __init__(
    self,
    built: run_lib.Run,
    run_dir: str,
    total_steps: int,
    writes: bool = True,
  ):
    """Writes RUN/tensorboard; `writes` is False in workers but the chief."""
    self._built = built
    self._run_dir = run_dir
    self._draws = writes and built.experiment.runtime.pictures
    self._steps = picture_steps(total_steps, built.experiment.train.eval_every)
    self._summaries = event_files.Summaries(
      os.path.join(run_dir, run_folder.TENSORBOARD),
      built.task.headline,
      writes,
    )

  def begin(self, step: int | None) -> None:
    """A sitting goes on from `step`, or begins the run if None."""
    self._summaries.begin(step)
    if step is None:
      self._summaries.settings(self._run_dir, settings(self._built.experiment))
      if self._draws:
        self._summaries.images(0, {'train/first_batch': self._first_batch()})

  def row(
    self,
    row: history.Row,
    pace: progress.Pace | None,
    probabilities: np.ndarray,
  ) -> None:
    """A row of metrics.jsonl.

    Args:
      row: The row.
      pace: Of the steps before it.
      probabilities: [N, K], of the validation split, at its step.
    """
    self._summaries.row(row, pace)
    step = row['step']
    if self._draws and step in self._steps:
      self._summaries.images(step, self._pictures(probabilities))
      self._summaries.histograms(step, self._weights())

  def end(self, step: int, test: dict[str, dict[str, float | None]]) -> None:
    """The run ended; `test` is what the checkpoint of `step` got."""
    self._summaries.end(step, {name: m['value'] for name, m in test.items()})

  def _pictures(self, probabilities):
    built, found = self._built, {}
    labels = built.labels(tfds_folder.VALIDATION)
    confusions = plots.confusions(built.task, probabilities, labels)
    if confusions:
      found['validation/confusion'] = plots.confusion(confusions)
    filters = plots.filters(built.model)
    if filters is not None:
      found['train/first_filters'] = filters
    return found

  def _weights(self):
    """Kernels only: the rest is too little for a histogram."""
    return {
      f'weights/{weight.path.removesuffix("/kernel")}': weight.numpy()
      for weight in self._built.model.weights
      if len(weight.shape) > 1
    }

  def _first_batch(self):
    """Images of the run's first batch as augmented, with their targets."""
    built, data = self._built, self._built.experiment.data
    train = built.experiment.train
    share = example_order.Shard.for_worker(
      0, strategy_lib.num_hosts(built.strategy), train.lanes
    )
    batches = pipeline.train(built.source, train.batch_size, share=share)
    batch = {k: v[:_SHEET_IMAGES] for k, v in next(iter(batches)).items()}
    images = augment.augment(
      batch['image'], batch['uniforms'], data.image_size, data.augment
    )
    met = (batch['targets'] * batch['mask']).numpy() > 0
    names = np.array(built.task.names)
    captions = [', '.join(names[row]) or 'none' for row in met]
    return plots.sheet(images.numpy(), captions)


def settings(experiment: config.Experiment) -> dict[str, str | float]:
  """What tells runs apart, for the HParams table."""
  values = config.flatten(experiment)
  return {name: values[config.FLAGS[name]] for name in _SETTINGS}


def picture_steps(total: int, eval_every: int) -> set[int]:
  """The evaluations that pictures are made at: evenly, first and last too."""
  evaluations = [0, *range(eval_every, total, eval_every), total]
  every = math.ceil((len(evaluations) - 1) / (_MOST_PICTURES - 1))
  return {0, *evaluations[:0:-every]}

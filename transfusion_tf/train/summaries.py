"""RUN/tensorboard: what metrics.jsonl holds, for TensorBoard, and the rate."""

import tensorflow as tf

from transfusion_tf import files
from transfusion_tf.train import history


class Summaries:
  """Writes scalars of one run."""

  def __init__(self, directory: str, writes: bool = True):
    """`writes` is False in workers but the chief."""
    self._directory = directory
    self._writer = tf.summary.create_noop_writer()
    if writes:
      self._writer = tf.summary.create_file_writer(directory)

  def row(self, row: history.Row, rate: float) -> None:
    """Writes a row of metrics.jsonl; `rate` is in images per second."""
    with files.writing(self._directory):
      self._write(row, rate)
      self._writer.flush()

  def _write(self, row, rate):
    with self._writer.as_default(step=row['step']):
      for name, value in row['validation'].items():
        if value is not None:
          tf.summary.scalar(f'validation/{name}', value)
      if row['loss'] is not None:
        tf.summary.scalar('train/loss', row['loss'])
        tf.summary.scalar('train/images_per_second', rate)
      tf.summary.scalar('train/learning_rate', row['learning_rate'])

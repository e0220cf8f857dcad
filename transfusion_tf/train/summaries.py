"""RUN/tensorboard: what metrics.jsonl holds, for TensorBoard, and the rate."""

import tensorflow as tf

from transfusion_tf.train import history


class Summaries:
  """Writes scalars of one run."""

  def __init__(self, directory: str):
    self._writer = tf.summary.create_file_writer(directory)

  def row(self, row: history.Row, rate: float) -> None:
    """Writes a row of metrics.jsonl; `rate` is in images per second."""
    with self._writer.as_default(step=row['step']):
      for name, value in row['validation'].items():
        if value is not None:
          tf.summary.scalar(f'validation/{name}', value)
      if row['loss'] is not None:
        tf.summary.scalar('train/loss', row['loss'])
        tf.summary.scalar('train/images_per_second', rate)
      tf.summary.scalar('train/learning_rate', row['learning_rate'])
    self._writer.flush()

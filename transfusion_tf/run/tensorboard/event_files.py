"""RUN/tensorboard: event files that a resumed run continues.

The events of a killed run after its last checkpoint are written again in the
next session. It deletes them from the files first, as `history` does with its
rows, so that TensorBoard shows each step once.
"""

from collections.abc import Iterator
import contextlib
import math
import os

import numpy as np
from tensorboard.plugins.histogram import metadata as histogram_metadata
from tensorboard.plugins.hparams import api as hparams_api
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams import summary as hparams_summary
import tensorflow as tf

from transfusion_tf import storage
from transfusion_tf.train import history
from transfusion_tf.train import progress

# Suffix of the file that is written when the run ends. A run that begins
# another session has not ended.
_END = '.end'
_MOST_WAITING, _FLUSHED_EVERY = 10_000, 3_600_000
_BUCKETS = 30  # Of a histogram, as tf.summary's.


class Summaries:
  """The event files of one run."""

  def __init__(
    self, directory: str, primary_metric: str = '', is_chief: bool = True
  ):
    """Initialize; nothing is written yet.

    Args:
      directory: The folder RUN/tensorboard.
      primary_metric: The metric that is also written under a name common to all
        tasks, so that the HParams table has one column for it.
      is_chief: Whether to write.
    """
    self._directory = directory
    self._primary_metric = primary_metric
    self._is_chief = is_chief
    self._writer = tf.summary.create_noop_writer()

  def begin(self, step: int | None) -> None:
    """Begin a session at `step`; the run is new if None."""
    if self._is_chief:
      with storage.convert_write_errors(self._directory):
        _delete_after(self._directory, -1 if step is None else step)
        self._writer = _file_writer(self._directory)

  def row(
    self, row: history.Row, throughput: progress.Throughput | None
  ) -> None:
    """Write the scalars of a row of metrics.jsonl, and the throughput."""
    with self._at(row['step']):
      self._metrics('validation', row['validation'])
      if row['loss'] is not None:
        tf.summary.scalar('train/loss', row['loss'])
      tf.summary.scalar('train/learning_rate', row['learning_rate'])
      if throughput:
        tf.summary.scalar(
          'train/images_per_second', throughput.images_per_second
        )
        if math.isfinite(throughput.input_wait_fraction):
          tf.summary.scalar(
            'train/input_wait_share', throughput.input_wait_fraction
          )

  def images(self, step: int, named: dict[str, np.ndarray]) -> None:
    """Write images, uint8 [height, width, 3] each."""
    with self._at(step):
      for name, pixels in named.items():
        tf.summary.image(name, pixels[None])

  def histograms(self, step: int, named: dict[str, np.ndarray]) -> None:
    """Write histograms of arrays of any shape."""
    with self._at(step):
      for name, values in named.items():
        tf.summary.write(
          name,
          _buckets(values),
          metadata=histogram_metadata.create_summary_metadata(None, None),
        )

  def hparams(self, name: str, values: dict[str, str | float]) -> None:
    """Write the run's row of TensorBoard's HParams table."""
    with self._at(0):
      hparams_api.hparams(values, trial_id=name)

  def end(self, step: int, test: dict[str, float | None]) -> None:
    """End the run; `test` are the metrics of its checkpoint at `step`."""
    self._writer.close()
    if self._is_chief:
      self._writer = _file_writer(self._directory, _END)
    with self._at(step):
      self._metrics('test', test)
      ended = hparams_summary.session_end_pb(api_pb2.STATUS_SUCCESS)
      tf.summary.experimental.write_raw_pb(ended.SerializeToString())
    self._writer.close()

  def _metrics(self, split, values):
    for name, value in values.items():
      if value is not None:
        tf.summary.scalar(f'{split}/{name}', value)
        if name == self._primary_metric:
          tf.summary.scalar(f'headline/{split}', value)

  @contextlib.contextmanager
  def _at(self, step: int) -> Iterator[None]:
    """Direct tf.summary to this run, at `step`."""
    with storage.convert_write_errors(self._directory):
      with self._writer.as_default(step=step):
        yield
      self._writer.flush()


def _file_writer(directory, suffix=None):
  # It writes when it is told to: of an object in a bucket, each writing is one
  # of all that is in it.
  return tf.summary.create_file_writer(
    directory,
    max_queue=_MOST_WAITING,
    flush_millis=_FLUSHED_EVERY,
    filename_suffix=suffix,
  )


def _buckets(values):
  """Return [_BUCKETS, 3]: lower edge, upper edge and count.

  tf.summary.histogram needs 240 bytes per value.
  """
  values = np.asarray(values, np.float64).ravel()
  counts, edges = np.histogram(values[np.isfinite(values)], _BUCKETS)
  return np.stack([edges[:-1], edges[1:], counts], axis=1)


def _delete_after(directory, step):
  """Delete the events after `step` from the event files."""
  for path in tf.io.gfile.glob(os.path.join(directory, '*tfevents*')):
    if path.endswith(_END):
      tf.io.gfile.remove(path)
      continue
    records = list(_records(path))
    kept = [record for record in records if _is_kept(record, step)]
    if len(kept) < len(records):
      _rewrite(path, kept)


def _is_kept(record, step):
  event = tf.compat.v1.Event.FromString(record)
  return event.HasField('file_version') or event.step <= step


def _records(path):
  """Yield the file's records; the last one may be truncated."""
  with contextlib.suppress(tf.errors.DataLossError):
    yield from tf.data.TFRecordDataset(path).as_numpy_iterator()


def _rewrite(path, records):
  # Not named like an event file: TensorBoard would read it.
  partial = os.path.join(os.path.dirname(path), 'rewritten.partial')
  if storage.is_remote(path):
    partial = path  # It appears when it is complete.
  with tf.io.TFRecordWriter(partial) as file:
    for record in records:
      file.write(record)
  if partial != path:
    tf.io.gfile.rename(partial, path, overwrite=True)

"""Writes a prepared data set as Parquet files, all of them or none."""

from collections.abc import Iterator
import hashlib
import os
from typing import Any

from transfusion_tf import atomic_folder
from transfusion_tf import errors
from transfusion_tf import output_names
from transfusion_tf import parquet_file
from transfusion_tf import storage
from transfusion_tf.data_export import columns
from transfusion_tf.data_export import croissant
from transfusion_tf.input_pipeline import tfds_folder

CROISSANT = 'croissant.json'
_DATA = 'data'
_SHARD_BYTES = 500_000_000  # Of pictures in a file, as on Hugging Face's hub.
_ROWS = 256  # Of a group: what a reader has to hold in memory.


def check(folder: str, overwrite: bool) -> None:
  """Raise InputError if nothing can be exported to a folder.

  Args:
    folder: The folder.
    overwrite: Whether an export that is there may be replaced.
  """
  found = storage.listdir(folder)
  if not found and (not storage.exists(folder) or storage.isdir(folder)):
    return
  if CROISSANT not in found:
    raise errors.InputError(
      f'{folder} is there and is no exported data set; choose another '
      '--output_dir'
    )
  if not overwrite:
    raise errors.InputError(
      f'{folder} holds an exported data set; replace it with --overwrite or '
      'choose another --output_dir'
    )


def write(
  prepared: tfds_folder.PreparedDataset,
  folder: str,
  about: croissant.About,
  overwrite: bool = False,
) -> dict[str, int]:
  """Write a data set to a folder, on this machine or in a bucket.

  Args:
    prepared: The data set; its pictures are written as they are stored.
    folder: The folder to make.
    about: What only its owner can say of it.
    overwrite: If true, an earlier export is replaced.

  Returns:
    Split -> number of rows, of the splits that have any.

  Raises:
    InputError: The folder is in use, or the data set is damaged.
    RunError: It cannot be written.
  """
  if not storage.is_remote(folder):
    folder = os.path.abspath(folder)
  check(folder, overwrite)
  names = columns.labels(prepared)
  schema = columns.schema(folder, names)
  counts = {s: prepared.num_examples(s) for s in prepared.splits}
  counts = {split: count for split, count in counts.items() if count}
  with atomic_folder.atomic(
    folder, lambda: check(folder, overwrite), last=(CROISSANT,)
  ) as partial:
    files = []
    for split in counts:
      for name in _write_split(prepared, split, schema, partial):
        files.append(_described(partial, name))
    storage.write_json(
      os.path.join(partial, CROISSANT),
      croissant.describe(prepared, names, files, about),
    )
  return counts


def _write_split(prepared, split, schema, folder) -> Iterator[str]:
  """Write the files of a split; yield the name of each."""
  count = prepared.num_examples(split)
  shards = min(count, -(-prepared.num_stored_bytes(split) // _SHARD_BYTES))
  shards = max(shards, 1)
  rows = _rows(prepared, split)
  for shard in range(shards):
    name = f'{_DATA}/{split}-{shard:05d}-of-{shards:05d}.parquet'
    start, end = (count * k // shards for k in (shard, shard + 1))
    _write_file(os.path.join(folder, name), schema, rows, end - start)
    yield name


def _write_file(path, schema, rows, count):
  arrow = parquet_file.pyarrow(path)
  with storage.atomic_write(path, 'wb') as file:
    with arrow.parquet.ParquetWriter(file, schema) as writer:
      for start in range(0, count, _ROWS):
        group = [next(rows) for _ in range(min(_ROWS, count - start))]
        writer.write_table(arrow.Table.from_pylist(group, schema))


def _rows(prepared, split) -> Iterator[dict[str, Any]]:
  """Yield the rows of a split, in stored order."""
  index = prepared.index(split)
  labels = index.labels.get(prepared.label_kind, {})
  if prepared.label_kind != output_names.FINDINGS:
    labels = {prepared.label_kind: labels} if prepared.label_kind else {}
  images = prepared.records(split).map(lambda r: prepared.parse(r)['image'])
  for number, image in enumerate(images.as_numpy_iterator()):
    image_id = str(index.image_ids[number])
    yield {
      columns.IMAGE: {'bytes': image, 'path': image_id},
      **{name: int(values[number]) for name, values in labels.items()},
      columns.IMAGE_ID: image_id,
      columns.PATIENT_ID: str(index.patient_ids[number]),
    }


def _described(folder, name):
  path = os.path.join(folder, name)
  with storage.convert_write_errors(path), open(path, 'rb') as file:
    digest = hashlib.file_digest(file, 'sha256').hexdigest()
  return croissant.File(name, os.path.getsize(path), digest)

"""The flags that say which pictures a command takes."""

import collections
from collections.abc import Iterator
import os

from absl import flags

from transfusion_tf import errors
from transfusion_tf.cli import table_flags


def define(module: str) -> None:
  """Define --images, --table and --path_column, as flags of a module."""
  flags.DEFINE_string(
    'images',
    None,
    'A folder or an archive of pictures; with --table, where its paths start '
    '(default: the folder of the table).',
    module_name=module,
  )
  flags.DEFINE_string(
    'table',
    None,
    'A table of pictures: .csv, .parquet, or .txt with a path a line.',
    module_name=module,
  )
  column = flags.FLAGS[table_flags.PATH_COLUMN.name]
  flags.FLAGS.register_key_flag_for_module(module, column)


def check() -> None:
  """Raise InputError if no pictures are named."""
  if not source():
    raise errors.InputError('give --images, --table or both')


def source() -> str:
  """Return what names the pictures."""
  return flags.FLAGS.table or flags.FLAGS.images


def given(others: collections.Counter[str]) -> tuple[Iterator, bool]:
  """Return the pictures, and whether they are in an order of their own.

  Args:
    others: A counter of the ends of names that are no pictures'.
  """
  from data import unlabelled

  table, images = flags.FLAGS.table, flags.FLAGS.images

  def count(name):
    others[os.path.splitext(name)[1].lower() or 'no ending'] += 1

  if not table:
    if unlabelled.is_archive(images):
      return unlabelled.of_archive(images, count), False
    return unlabelled.of_folder(images, count), False
  if images and unlabelled.is_archive(images):
    raise errors.InputError(
      f'--images={images}: a table names files, not parts of archives; unpack '
      'it, or leave out --table'
    )
  root = images or os.path.dirname(table) or '.'
  return unlabelled.of_table(table, table_flags.PATH_COLUMN.value, root), True

"""Tables as Parquet files, which need pyarrow."""

import os
from types import ModuleType

import pandas as pd

from transfusion_tf import errors
from transfusion_tf import storage

SUFFIX = '.parquet'


def check(path: str, flag: str) -> None:
  """Raise InputError if no Parquet can be written to the value of a flag."""
  if os.path.splitext(path)[1].lower() != SUFFIX:
    raise errors.InputError(f'--{flag}={path} does not end in {SUFFIX}')
  if os.path.isdir(path):
    raise errors.InputError(f'--{flag}={path} is a folder; name a file in it')
  pyarrow(path)


def pyarrow(path: str) -> ModuleType:
  """Return pyarrow, with its module `parquet`.

  Args:
    path: The file that it is for.

  Raises:
    InputError: It is not installed.
  """
  try:
    import pyarrow
    import pyarrow.parquet
  except ImportError:
    raise errors.InputError(
      f"{path}: Parquet needs pyarrow: pip install -e '.[parquet]'"
    ) from None
  return pyarrow


def write(path: str, rows: pd.DataFrame) -> None:
  """Write a whole table, or leave the existing file unchanged.

  Raises:
    InputError: pyarrow is not installed.
    RunError: It cannot be written.
  """
  arrow = pyarrow(path)
  with storage.atomic_write(path, 'wb') as file:
    table = arrow.Table.from_pandas(rows, preserve_index=False)
    # pandas' description of the frame differs with its version.
    arrow.parquet.write_table(table.replace_schema_metadata(), file)

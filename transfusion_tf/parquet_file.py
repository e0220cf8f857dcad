"""Tables as Parquet files, which need pyarrow."""

from types import ModuleType

import pandas as pd

from transfusion_tf import errors
from transfusion_tf import storage


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

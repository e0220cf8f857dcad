"""Putting a demo set on disk: whole or not at all, and never over real data."""

from collections.abc import Callable, Sequence
import json
import pathlib
import shutil

import numpy as np
import pandas as pd
from PIL import Image

from transfusion_tf import errors
from transfusion_tf import json_file

_MARKER = 'demo.json'  # Says that a folder is ours and what it was made with.
_JPEG_QUALITY = 92


def make(
  folder: pathlib.Path,
  write: Callable[..., None],
  **parameters: float,
) -> bool:
  """Make `folder` by `write(folder, **parameters)`, unless it is there.

  Returns:
    Whether anything was written: False if it was made so before.

  Raises:
    InputError: `folder` exists and holds something else.
  """
  marker = folder / _MARKER
  remedy = 'remove the folder or choose another --raw_dir'
  if marker.exists() and parameters == json_file.read(
    marker, dict[str, object], remedy
  ):
    return False
  if folder.exists():
    raise errors.InputError(
      f'{folder} exists and holds other data: remove it or choose another '
      '--raw_dir'
    )
  partial = folder.with_name(folder.name + '.partial')
  shutil.rmtree(partial, ignore_errors=True)
  partial.mkdir(parents=True)
  write(partial, **parameters)
  (partial / _MARKER).write_text(
    json.dumps(parameters, indent=2) + '\n', 'utf-8'
  )
  partial.rename(folder)
  return True


def save_jpeg(picture: np.ndarray, path: pathlib.Path) -> None:
  """Write a uint8 [H, W, 3] or gray [H, W] picture."""
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(picture).save(path, 'JPEG', quality=_JPEG_QUALITY)


def save_csv(
  rows: list[dict], columns: Sequence[str], path: pathlib.Path
) -> None:
  """Write a header and one line a row."""
  table = pd.DataFrame(rows, columns=columns)
  table.to_csv(path, index=False, lineterminator='\n')

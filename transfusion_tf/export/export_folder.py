"""The folder that an export makes: all of it, or nothing."""

from collections.abc import Iterator
import contextlib
import os

from transfusion_tf import atomic_folder
from transfusion_tf import errors
from transfusion_tf import storage
from transfusion_tf.export import runtimes
from transfusion_tf.export.runtimes import litert_metadata

KERAS, CARD = 'model.keras', 'model_card.md'
LABELS = litert_metadata.LABELS
GRAPH = 'saved_model.pb'
# What an export consists of.
_WRITTEN = {
  *(GRAPH, 'fingerprint.pb', 'variables', 'assets', 'assets.extra'),
  *(KERAS, CARD, LABELS),
  *runtimes.FILES,
}


def check(export_dir: str, overwrite: bool) -> None:
  """Raise InputError if an export cannot be made in a folder.

  Args:
    export_dir: The folder.
    overwrite: Whether an export that is there may be replaced.
  """
  if not storage.is_remote(export_dir) and not os.path.lexists(export_dir):
    return
  if not (found := storage.listdir(export_dir)) and (
    storage.is_remote(export_dir) or os.path.isdir(export_dir)
  ):
    return
  if storage.is_remote(export_dir) and set(found) <= _WRITTEN - {CARD}:
    return  # An upload was interrupted.
  if CARD not in found:
    raise errors.InputError(
      f'{export_dir} is there and is no export; choose another --export_dir'
    )
  if not overwrite:
    raise errors.InputError(
      f'{export_dir} holds an export; replace it with --overwrite or choose '
      'another --export_dir'
    )


@contextlib.contextmanager
def atomic(export_dir: str, overwrite: bool) -> Iterator[str]:
  """Yield a folder that replaces `export_dir` if the block succeeds.

  An export in a bucket is complete once its card is there.
  """
  with atomic_folder.atomic(
    export_dir,
    lambda: check(export_dir, overwrite),
    # Without its graph, a server that looks meanwhile finds no network.
    last=(GRAPH, CARD),
  ) as partial:
    yield partial

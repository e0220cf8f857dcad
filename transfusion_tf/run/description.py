"""What an exported network carries so that the folder alone can be used.

It lies among the assets of the SavedModel.
"""

from collections.abc import Mapping
import dataclasses
import os
from typing import Any, NotRequired, TypedDict

from transfusion_tf import decisions as decisions_lib
from transfusion_tf import errors
from transfusion_tf import json_file
from transfusion_tf import storage
from transfusion_tf import tasks
from transfusion_tf.input_pipeline import stored_form

NAME = 'network.json'
_ASSETS = 'assets'
_REMEDY = 'export the run again'


class _Record(TypedDict):
  model: str
  step: int | None
  outputs: dict[str, Any]
  stored_form: stored_form.Record
  decisions: NotRequired[decisions_lib.Record | None]


@dataclasses.dataclass(frozen=True)
class Description:
  """How a network is used.

  Attributes:
    model: Its name.
    step: Step of the checkpoint, if it is of one.
    task: The meaning of its outputs.
    form: The form in which it takes pictures.
    decisions: How its probabilities are read, if that was chosen.
  """

  model: str
  step: int | None
  task: tasks.Task
  form: stored_form.StoredForm
  decisions: decisions_lib.Decisions | None = None

  def to_json(self) -> dict[str, Any]:
    """Return it as JSON can hold it."""
    chosen = self.decisions
    return {
      'model': self.model,
      'step': self.step,
      'outputs': tasks.to_json(self.task),
      'stored_form': dataclasses.asdict(self.form),
      'decisions': chosen.to_json() if chosen else None,
    }


def from_json(record: Mapping[str, Any]) -> Description:
  """Return what `Description.to_json` described.

  Raises:
    ValueError: It describes no network.
  """
  chosen = record.get('decisions')
  return Description(
    record['model'],
    record['step'],
    tasks.from_json(record['outputs']),
    stored_form.from_json(record['stored_form']),
    decisions_lib.from_json(chosen) if chosen else None,
  )


def write(description: Description, export_dir: str) -> None:
  """Write the description into an exported folder."""
  path = os.path.join(export_dir, _ASSETS, NAME)
  storage.makedirs(os.path.dirname(path))
  storage.write_json(path, description.to_json())


def read(export_dir: str) -> Description:
  """Return the description in an exported folder.

  Raises:
    InputError: There is none, or it is damaged.
  """
  path = os.path.join(export_dir, _ASSETS, NAME)
  try:
    return from_json(json_file.read(path, _Record, _REMEDY))
  except FileNotFoundError:
    raise errors.InputError(
      f'{export_dir} is no export that can predict: it has no '
      f'{_ASSETS}/{NAME}; if an earlier version made it, {_REMEDY}'
    ) from None
  except (ValueError, LookupError) as error:
    if isinstance(error, errors.DamagedFileError):
      raise
    raise errors.DamagedFileError(path, str(error), _REMEDY) from None

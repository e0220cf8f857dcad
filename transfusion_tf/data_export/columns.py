"""The columns of an exported data set.

image        the stored file: its bytes, and its id as `path`
label | grade | one column a finding   numbers of classes; the names are known
image_id     text, unique within the set
patient_id   text

The schema says this in the words of Hugging Face's `datasets` as well, which
then shows pictures and the names of classes.
"""

from collections.abc import Mapping, Sequence
import json
from typing import Any

from transfusion_tf import errors
from transfusion_tf import output_names
from transfusion_tf import parquet_file
from transfusion_tf.input_pipeline import tfds_folder

IMAGE, IMAGE_ID, PATIENT_ID = 'image', 'image_id', 'patient_id'
_TAKEN = (IMAGE, IMAGE_ID, PATIENT_ID)

# Column -> the names of its classes, by their numbers.
Labels = Mapping[str, Sequence[str]]


def labels(prepared: tfds_folder.PreparedDataset) -> Labels:
  """Return the columns of labels of a data set.

  Raises:
    InputError: A finding is called as another column.
  """
  kind = prepared.label_kind
  if not kind:
    return {}
  if kind != output_names.FINDINGS:
    return {kind: prepared.label_names}
  for name in prepared.label_names:
    if name in _TAKEN:
      raise errors.InputError(
        f'{prepared.directory}: a finding is called {name!r}, as a column of '
        'the export; prepare it under another name'
      )
  features = prepared.features[kind]
  return {name: tuple(features[name].names) for name in prepared.label_names}


def schema(path: str, names: Labels) -> Any:
  """Return the schema of the files, for pyarrow.

  Args:
    path: What is written, for the message if pyarrow is not there.
    names: The result of `labels`.
  """
  arrow = parquet_file.pyarrow(path)
  image = arrow.struct([('bytes', arrow.binary()), ('path', arrow.string())])
  fields = [
    (IMAGE, image),
    *((name, arrow.int64()) for name in names),
    (IMAGE_ID, arrow.string()),
    (PATIENT_ID, arrow.string()),
  ]
  text = {'dtype': 'string', '_type': 'Value'}
  features = {
    IMAGE: {'_type': 'Image'},
    **{
      name: {'names': list(classes), '_type': 'ClassLabel'}
      for name, classes in names.items()
    },
    IMAGE_ID: text,
    PATIENT_ID: text,
  }
  description = json.dumps({'info': {'features': features}})
  return arrow.schema(fields, metadata={'huggingface': description})

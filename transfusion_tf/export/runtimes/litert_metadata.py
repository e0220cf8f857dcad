"""What a .tflite file says of itself, in the format of TF Lite's Metadata.

A flatbuffer inside the model names its tensors and says what they hold; files
that belong to it, the labels, are an archive (ZIP) at its end. The numbers of
fields are those of `metadata_schema.fbs`, version 1.5.
"""

from collections.abc import Iterable, Sequence
import io
import zipfile

import flatbuffers
from flatbuffers import number_types

from transfusion_tf.export import portable

LABELS = 'labels.txt'
_NAME, _IDENTIFIER = b'TFLITE_METADATA', b'M001'
# Of unions and enumerations.
_NORMALIZATION, _IMAGE, _RGB, _AXIS_LABELS = 1, 2, 1, 2
_DATE = (1980, 1, 1, 0, 0, 0)  # The same content makes the same file.


def add(content: bytes, network: portable.PortableNetwork) -> bytes:
  """Return a .tflite file with what is known of its network."""
  # Its module is of TensorFlow; there is no public one to change such a file.
  from tensorflow.lite.python import schema_py_generated as schema
  from tensorflow.lite.tools import flatbuffer_utils

  model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
  (signature,) = model.signatureDefs
  names = {t.tensorIndex: t.name.decode() for t in signature.outputs}
  outputs = [names[index] for index in model.subgraphs[0].outputs]
  buffer = schema.BufferT()
  buffer.data = list(_metadata(network, outputs))
  model.buffers.append(buffer)
  entry = schema.MetadataT()
  entry.name, entry.buffer = _NAME, len(model.buffers) - 1
  model.metadata = [*(model.metadata or []), entry]
  return bytes(flatbuffer_utils.convert_object_to_bytearray(model)) + _archive(
    {LABELS: labels(network.class_names)}
  )


def labels(names: Iterable[str]) -> str:
  """Return a line for each name."""
  return ''.join(f'{" ".join(name.split())}\n' for name in names)


def _archive(files):
  archive = io.BytesIO()
  with zipfile.ZipFile(archive, 'w') as writer:
    for name, text in files.items():
      writer.writestr(zipfile.ZipInfo(name, _DATE), text)
  return archive.getvalue()


def _metadata(network: portable.PortableNetwork, outputs: Sequence[str]):
  tables = _Tables()
  file = tables.add(
    tables.text(0, LABELS),
    tables.text(1, 'The name of each output, a line each.'),
    (2, _AXIS_LABELS),
  )
  image = tables.add((0, _RGB))
  content = tables.add((0, _IMAGE), tables.at(1, image))
  unchanged = tables.add(tables.floats(0, [0.0]), tables.floats(1, [1.0]))
  process = tables.add((0, _NORMALIZATION), tables.at(1, unchanged))
  range_of_pixels = tables.add(
    tables.floats(0, [255.0]), tables.floats(1, [0.0])
  )
  pixels = tables.add(
    tables.text(0, portable.PIXELS),
    tables.text(1, network.about['pixels']),
    tables.at(3, content),
    tables.all(4, [process]),
    tables.at(5, range_of_pixels),
  )
  named = [
    tables.add(
      tables.text(0, name),
      *([tables.all(6, [file])] if name == portable.PROBABILITIES else []),
    )
    for name in outputs
  ]
  subgraph = tables.add(tables.all(2, [pixels]), tables.all(3, named))
  about = network.about
  return tables.finish(
    tables.add(
      tables.text(0, network.name),
      tables.text(1, about['description']),
      tables.all(3, [subgraph]),
      tables.text(4, about.get('author', '')),
      tables.text(5, about.get('license', '')),
    )
  )


class _Tables:
  """Writes tables of a flatbuffer; a field is its number and its value."""

  def __init__(self):
    self._builder = flatbuffers.Builder()

  def text(self, field, text):
    return self.at(field, self._builder.CreateString(text))

  def floats(self, field, values):
    builder = self._builder
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
      builder.PrependFloat32(value)
    return self.at(field, builder.EndVector())

  def all(self, field, tables):
    builder = self._builder
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
      builder.PrependUOffsetTRelative(table)
    return self.at(field, builder.EndVector())

  def at(self, field, place):
    return field, _Place(place)

  def add(self, *fields):
    builder = self._builder
    builder.StartObject(max(field for field, _ in fields) + 1)
    for field, value in fields:
      if isinstance(value, _Place):
        builder.PrependUOffsetTRelativeSlot(field, value.place, 0)
      else:  # An enumeration, or the kind of a union.
        builder.PrependSlot(number_types.Uint8Flags, field, value, 0)
    return builder.EndObject()

  def finish(self, table):
    self._builder.Finish(table, _IDENTIFIER)
    return bytes(self._builder.Output())


class _Place:
  def __init__(self, place):
    self.place = number_types.UOffsetTFlags.py_type(place)

"""Croissant: what the files and columns of a data set are, as JSON-LD.

MLCommons' format, by which programs of others find, describe and load data
sets (http://mlcommons.org/croissant/1.0).
"""

from collections.abc import Iterable, Sequence
import dataclasses
import re
from typing import Any

from transfusion_tf import errors
from transfusion_tf.data_export import columns
from transfusion_tf.input_pipeline import tfds_folder

_VERSION = 'http://mlcommons.org/croissant/1.0'
# Terms of the format that are not schema.org's.
_TERMS = (
  *('citeAs', 'column', 'equivalentProperty', 'extract', 'field', 'fileObject'),
  *('fileProperty', 'fileSet', 'format', 'includes', 'isLiveDataset'),
  *('jsonPath', 'key', 'md5', 'parentField', 'path', 'recordSet', 'references'),
  *('regex', 'repeated', 'replace', 'samplingRate', 'separator', 'source'),
  *('subField', 'transform'),
)
_CONTEXT = {
  '@language': 'en',
  '@vocab': 'https://schema.org/',
  'cr': 'http://mlcommons.org/croissant/',
  'dct': 'http://purl.org/dc/terms/',
  'rai': 'http://mlcommons.org/croissant/RAI/',
  'sc': 'https://schema.org/',
  'conformsTo': 'dct:conformsTo',
  'data': {'@id': 'cr:data', '@type': '@json'},
  'dataType': {'@id': 'cr:dataType', '@type': '@vocab'},
  'examples': {'@id': 'cr:examples', '@type': '@json'},
  **{term: f'cr:{term}' for term in _TERMS},
}
_PARQUET = 'application/x-parquet'
_FILES, _ROWS, _SPLITS = 'files', 'rows', 'splits'
_SPLIT = 'split'


@dataclasses.dataclass(frozen=True)
class About:
  """What only the owner of a data set can say of it; empty is not stated.

  Attributes:
    license: Its license: an address, an identifier or a name.
    citation: How to cite it, also as BibTeX of several lines.
    description: What it shows.
    url: Where it is published.
  """

  license: str = ''
  citation: str = ''
  description: str = ''
  url: str = ''

  def __post_init__(self):
    for name in ('license', 'url'):
      errors.check_text(name, getattr(self, name))
    for name in ('citation', 'description'):
      errors.check_text(name, ' '.join(getattr(self, name).split()))


@dataclasses.dataclass(frozen=True)
class File:
  """A Parquet file.

  Attributes:
    name: Its path in the folder.
    size: In bytes.
    sha256: Of its content.
  """

  name: str
  size: int
  sha256: str


def describe(
  prepared: tfds_folder.PreparedDataset,
  labels: columns.Labels,
  files: Sequence[File],
  about: About,
) -> dict[str, Any]:
  """Return the description of an export, as JSON can hold it.

  Args:
    prepared: The data set.
    labels: The columns of labels.
    files: All Parquet files.
    about: What its owner says of it.
  """
  splits = dict.fromkeys(_split(file.name) for file in files)
  stated = {
    'license': about.license,
    'citeAs': about.citation,
    'url': about.url,
  }
  return {
    '@context': _CONTEXT,
    '@type': 'sc:Dataset',
    'name': prepared.name,
    'description': about.description or _counted(prepared, splits),
    'conformsTo': _VERSION,
    'identifier': prepared.fingerprint,
    'version': prepared.version,
    **{name: text for name, text in stated.items() if text},
    'distribution': [*map(_file, files), _file_set()],
    'recordSet': [
      _enumeration(_SPLITS, 'cr:Split', splits),
      *(
        _enumeration(_classes(number), 'sc:Enumeration', names)
        for number, names in enumerate(_distinct(labels))
      ),
      _rows(labels),
    ],
  }


def _counted(prepared, splits):
  counts = ', '.join(f'{prepared.num_examples(s):,} of {s}' for s in splits)
  return f'Images of {prepared.name}: {counts}.'


def _split(name):
  return re.sub(r'.*/(.+)-\d+-of-\d+\.parquet', r'\1', name)


def _file(file):
  return {
    '@type': 'cr:FileObject',
    '@id': file.name,
    'name': file.name,
    'contentUrl': file.name,
    'contentSize': f'{file.size} B',
    'encodingFormat': _PARQUET,
    'sha256': file.sha256,
  }


def _file_set():
  return {
    '@type': 'cr:FileSet',
    '@id': _FILES,
    'name': _FILES,
    'encodingFormat': _PARQUET,
    'includes': 'data/*.parquet',
  }


def _distinct(labels):
  """Return each list of names once: findings have the same states."""
  return list(dict.fromkeys(tuple(names) for names in labels.values()))


def _classes(number):
  return f'classes_{number}' if number else 'classes'


def _enumeration(name: str, kind: str, values: Iterable[str]) -> dict[str, Any]:
  """Return the values of a column; classes have their numbers, too."""
  fields = {'name': 'sc:Text'}
  rows: list[dict[str, Any]] = [{f'{name}/name': value} for value in values]
  if kind == 'sc:Enumeration':
    fields['number'] = 'sc:Integer'
    rows = [{**row, f'{name}/number': n} for n, row in enumerate(rows)]
  return {
    '@type': 'cr:RecordSet',
    '@id': name,
    'name': name,
    'dataType': kind,
    'key': {'@id': f'{name}/{list(fields)[-1]}'},
    'field': [
      _field(f'{name}/{field}', field, data_type)
      for field, data_type in fields.items()
    ],
    'data': rows,
  }


def _rows(labels):
  lists = _distinct(labels)
  split = {
    'fileSet': {'@id': _FILES},
    'extract': {'fileProperty': 'fullpath'},
    # Applied to its own result as well, by mlcroissant.
    'transform': {'regex': r'(?:.*/)?([^/]+?)(?:-\d+-of-\d+\.parquet)?$'},
  }
  image = _column(columns.IMAGE) | {'transform': {'jsonPath': 'bytes'}}
  fields = [
    _field(f'{_ROWS}/{_SPLIT}', _SPLIT, 'sc:Text')
    | {'source': split, 'references': _reference(f'{_SPLITS}/name')},
    _field(f'{_ROWS}/{columns.IMAGE}', columns.IMAGE, 'sc:ImageObject')
    | {'source': image},
  ]
  for number, (name, names) in enumerate(labels.items()):
    key = _classes(lists.index(tuple(names)))
    # A finding's name may hold what no address can.
    plain = name if re.fullmatch(r'\w+', name, re.ASCII) else f'label_{number}'
    fields.append(
      _field(f'{_ROWS}/{plain}', name, ['sc:Integer', 'cr:Label'])
      | {'source': _column(name), 'references': _reference(f'{key}/number')}
    )
  for name in (columns.IMAGE_ID, columns.PATIENT_ID):
    fields.append(
      _field(f'{_ROWS}/{name}', name, 'sc:Text') | {'source': _column(name)}
    )
  return {
    '@type': 'cr:RecordSet',
    '@id': _ROWS,
    'name': _ROWS,
    'key': {'@id': f'{_ROWS}/{columns.IMAGE_ID}'},
    'field': fields,
  }


def _field(identifier, name, data_type):
  return {
    '@type': 'cr:Field',
    '@id': identifier,
    'name': name,
    'dataType': data_type,
  }


def _column(name):
  return {'fileSet': {'@id': _FILES}, 'extract': {'column': name}}


def _reference(field):
  return {'field': {'@id': field}}

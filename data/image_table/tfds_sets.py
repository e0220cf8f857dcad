"""Sets that TensorFlow Datasets has prepared: their pictures and labels.

What columns mean is in their features; for some sets, whose features do not say
that labels are grades or findings, or who a patient is, it is written here.
Pictures stay in the files, and are read where they are.
"""

from collections.abc import Callable, Iterator
import dataclasses
import os
import pathlib
import posixpath
import re

from data import cells
from data.chexpert import layout as chexpert
from data.image_table import row_columns
from data.image_table import rows as rows_lib
from data.image_table import source as source_lib
from transfusion_tf import datasets
from transfusion_tf import errors
from transfusion_tf import shown_text
from transfusion_tf import storage

_IDS = ('image_id', 'file_name', 'filename', 'name', 'id')
_PATIENT = 'patient'
_INFO, _FEATURES = 'dataset_info.json', 'features.json'
_HEADER, _FOOTER = 12, 4  # Bytes around a record: its length, and sums.
_SPLITS = ('train', 'validation', 'test')
_MOST_TEXT = 2**16  # Bytes of a text that is a cell.
# How a table of findings codes the states of TFDS' chexpert.
_CODES = {
  'negative': '0',
  'positive': '1',
  'uncertain': '-1',
  'unmentioned': '',
}


@dataclasses.dataclass(frozen=True)
class _Known:
  """What the features of a set do not say.

  Attributes:
    patient: The name of a picture -> its patient.
    kind: Of the labels, where it is not classes.
    findings: Names of a list of states.
  """

  patient: Callable[[str], str] | None = None
  kind: str = 'label'
  findings: tuple[str, ...] = ()


def _of_eye(name):
  """Return `10` of `10_left`."""
  return re.sub('_(left|right)$', '', name)


def _of_study(name):
  """Return `patient00001` of `.../train/patient00001/study1/view1.jpg`."""
  match = re.search('patient[0-9]+', name)
  return match[0] if match else name


# The other sets of TFDS need nothing: patch_camelyon, colorectal_histology,
# malaria, cifar10, imagenette, deep_weeds, ...
_KNOWN = {
  'diabetic_retinopathy_detection': _Known(_of_eye, 'grade'),
  'chexpert': _Known(_of_study, 'findings', tuple(chexpert.OBSERVATIONS)),
}


def files(path: str) -> list[str]:
  """Return the files of the sets in a folder, or at most two below."""
  infos = datasets.info_files(path) if os.path.isdir(path) else []
  # Hugging Face's library has files of the same name, and no features.json.
  folders = [
    folder
    for folder in map(pathlib.Path, map(os.path.dirname, infos))
    if (folder / _FEATURES).exists()
  ]
  names = (_INFO, _FEATURES, '*.tfrecord*')
  return [
    os.fspath(file)
    for folder in folders
    for name in names
    for file in sorted(folder.glob(name))
  ]


def named(path: str) -> str:
  """Return a path, or that of the set of this name in TFDS' own folder."""
  own = os.environ.get('TFDS_DATA_DIR') or '~/tensorflow_datasets'
  there = os.path.join(os.path.expanduser(own), path)
  return there if os.path.exists(there) and not os.path.exists(path) else path


def ready(path: str) -> tuple[str, str] | None:
  """Return the data_dir and the name of a set that is trained on as it is.

  It is if it has all splits, and the features say what there is to say.
  """
  folder = _folder(path)
  builder = _open(folder)
  has_splits = set(_SPLITS) <= set(builder.info.splits)
  # What prepare_data.py makes may have the name of a set that lacks words.
  is_ours = 'records_sha256' in (builder.info.metadata or {})
  if not has_splits or (builder.info.name in _KNOWN and not is_ours):
    return None
  if 'image' not in builder.info.features or not _is_learned_from(
    builder.info.features
  ):
    return None
  parts = os.path.abspath(folder).split(os.sep)
  if builder.info.name not in parts:
    return os.path.split(os.path.abspath(folder))  # Under another name.
  at = len(parts) - 1 - parts[::-1].index(builder.info.name)
  return os.sep.join(parts[:at]), os.path.join(*parts[at:])


def _is_learned_from(features):
  """Return whether features are those that training reads."""
  import tensorflow_datasets as tfds

  one = [features[name] for name in ('label', 'grade') if name in features]
  is_class = [isinstance(each, tfds.features.ClassLabel) for each in one]
  has_labels = all(is_class) if one else 'findings' in features
  return has_labels and isinstance(features['image'], tfds.features.Image)


def read(path: str, columns: source_lib.Columns) -> source_lib.Source:
  """Return a row for each picture, in stored order.

  Args:
    path: The folder of the set, of one of its configs or versions.
    columns: What the flags say.

  Raises:
    InputError: It is no set of pictures with labels, or is damaged.
  """
  folder = _folder(path)
  builder = _open(folder)
  info = builder.info
  known = _KNOWN.get(info.name, _Known())
  label = _label(folder, info.features, columns)
  rows = row_columns.RowColumns()
  for split in info.splits.values():
    split_name = cells.SPLITS.get(split.name)
    if not split_name and len(info.splits) > 1:
      continue  # `sample`, `all`: of the others, or not to be learned.
    for file in map(os.fspath, split.filepaths):
      for name, place, found in _rows(file, info.features, label, known):
        if split_name:
          found[source_lib.SPLIT] = split_name
        number = f'{split_name or split.name}_{len(rows):04d}.png'
        rows.append(name or number, place, found)
  return rows_lib.of_rows(
    path,
    rows,
    columns,
    _meaning(info.features, label, known),
    files(folder),
  )


def _folder(path):
  """Return the folder of the one version that is meant."""
  found = sorted({os.path.dirname(file) for file in files(path)})
  if not found:
    raise errors.InputError(f'{path} holds no set of TensorFlow Datasets')
  if len({os.path.dirname(folder) for folder in found}) > 1:
    some = errors.listed([os.path.relpath(f, path) for f in found], 4)
    raise errors.InputError(f'{path} holds several sets: name one of {some}')
  return found[-1]


def _open(folder):
  from transfusion_tf.input_pipeline import tfds_files

  builder = tfds_files.open_folder(folder)
  if (form := builder.info.file_format.value) != 'tfrecord':
    raise errors.InputError(f'{folder}: its files are of {form}, not tfrecord')
  return builder


def _label(folder, features, asked):
  """Return the feature of the labels."""
  import tensorflow_datasets as tfds

  def is_class(feature):
    if isinstance(feature, tfds.features.Sequence):
      feature = feature.feature
    return isinstance(feature, tfds.features.ClassLabel)

  classes = [name for name in features if is_class(features[name])]
  chosen = [name for name in asked.labels if name in classes]
  among = chosen or [n for n in classes if n == 'label'] or classes
  if len(among) != 1:
    raise errors.InputError(
      f'{folder}: say with --label_columns which feature is learned (it has: '
      f'{errors.listed(list(features))})'
    )
  if not isinstance(features['image'], tfds.features.Image):
    raise errors.InputError(f'{folder}: its feature image holds no pictures')
  return among[0]


def _meaning(features, label, known):
  if known.kind == 'findings':
    return source_lib.Columns(
      labels=known.findings, kind='findings', patient=_PATIENT
    )
  if hasattr(features[label], 'feature'):  # Several classes a picture.
    names = tuple(features[label].feature.names)
    return source_lib.Columns(labels=names, kind='findings')
  return source_lib.Columns(
    labels=(label,),
    kind=known.kind,
    classes=tuple(features[label].names),
    patient=_PATIENT if known.patient else '',
  )


def _rows(
  file, features, label, known
) -> Iterator[tuple[str, str, dict[str, str]]]:
  """Yield the (name, place, cells) of a file; a name may be empty."""
  import tensorflow as tf

  start = 0
  try:
    for record in tf.data.TFRecordDataset(file).as_numpy_iterator():
      values = tf.train.Example.FromString(record).features.feature
      picture = values['image'].bytes_list.value
      if len(picture) != 1:
        raise errors.InputError(f'{file}: a record holds no picture')
      at = start + _HEADER + record.find(picture[0])
      found = _cells(values, features, label, known)
      name = next((found[n] for n in _IDS if found.get(n)), '')
      if known.patient:
        found[_PATIENT] = known.patient(posixpath.splitext(name)[0])
      place = f'{file}::{at}+{len(picture[0])}'
      yield shown_text.printable(name), place, found
      start += _HEADER + len(record) + _FOOTER
  except (tf.errors.OpError, ValueError) as error:
    raise errors.InputError(
      f'{file} is damaged: {storage.reason(error)}'
    ) from None


def _cells(values, features, label, known):
  """Return the cells of a record; what is no cell is left out."""
  found: dict[str, str] = {}
  for name, feature in features.items():
    value = values[name] if name in values else None
    held = [] if value is None else _values(value)
    if name == label and known.kind == 'findings':
      names = feature.feature.names
      states = [_name(names, number) for number in held]
      if len(states) != len(known.findings):
        raise ValueError(f'{len(states)} findings, not {len(known.findings)}')
      codes = (_CODES.get(state, state) for state in states)
      found |= dict(zip(known.findings, codes, strict=True))
    elif name == label and hasattr(feature, 'feature'):
      present = {_name(feature.feature.names, number) for number in held}
      found |= {n: str(int(n in present)) for n in feature.feature.names}
    elif len(held) == 1 and name != 'image':
      one = held[0]
      if isinstance(one, bytes):
        one = one.decode('utf-8', 'replace') if len(one) < _MOST_TEXT else ''
      if hasattr(feature, 'names'):
        one = _name(feature.names, one)
      if (cell := rows_lib.cell(one)) is not None:
        found[name] = cell
  return found


def _values(feature):
  kind = feature.WhichOneof('kind')
  return list(getattr(feature, kind).value) if kind else []


def _name(names, number):
  if isinstance(number, int) and 0 <= number < len(names):
    return names[number]
  return '' if number == -1 else str(number)

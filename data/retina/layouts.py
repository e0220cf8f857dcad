"""The published folder layouts of four sets of graded fundus photographs.

All grade on the International Clinical Diabetic Retinopathy scale, 0 to 4.
"""

from collections.abc import Callable
import dataclasses
import os
import pathlib
import re

from data import archives
from data import cells
from data import images
from data import raw_dataset
from data import tables
from transfusion_tf import errors

GRADES = ('0', '1', '2', '3', '4')


@dataclasses.dataclass(frozen=True)
class _Part:
  """A table of a set and the images that it grades."""

  csv: str
  image: str  # Columns.
  grade: str
  folder: str
  split: str = ''  # Empty if the set has no test set of its own.
  published: int = 0  # Number of graded images.
  gradable: str = ''  # A column that is 0 where there is no grade.


@dataclasses.dataclass(frozen=True)
class _Layout:
  parts: tuple[_Part, ...]
  # Image name -> (patient, eye).
  parse_name: Callable[[str], tuple[str, str]] = lambda name: (name, '')
  pooled: bool = False  # Whether splits are drawn from all parts together.


def _kaggle_name(name):
  match = re.fullmatch(r'(\d+)_(left|right)', name)
  if not match:
    raise raw_dataset.InvalidRecordError(
      'impossible name', f'{name}: not PATIENT_EYE'
    )
  return match.groups()


# kaggle.com/c/diabetic-retinopathy-detection; the solution file came later
# and has both the public and the private part of the test set.
_KAGGLE = _Layout(
  parts=(
    _Part('trainLabels.csv', 'image', 'level', 'train', 'train', 35_126),
    _Part('retinopathy_solution.csv', 'image', 'level', 'test', 'test', 53_576),
  ),
  parse_name=_kaggle_name,
)
_IDRID = 'B. Disease Grading'
LAYOUTS = {
  'kaggle': _KAGGLE,
  # Both folders number their patients in one series: a number is one patient in
  # either. The fractions are those of every set without a test set. A fifth for
  # `test` is close to the paper's share (70k of 320k), and about 64k images are
  # left to train on: enough for the 50k of Table 4. No split gives its 100k.
  'kaggle_pooled': dataclasses.replace(_KAGGLE, pooled=True),
  # kaggle.com/c/aptos2019-blindness-detection; its test set has no labels.
  'aptos2019': _Layout(
    parts=(
      _Part(
        'train.csv', 'id_code', 'diagnosis', 'train_images', published=3_662
      ),
    )
  ),
  # adcis.net/en/third-party/messidor2, with the grades of
  # kaggle.com/google-brain/messidor2-dr-grades.
  'messidor2': _Layout(
    parts=(
      _Part(
        'messidor_data.csv',
        'image_id',
        'adjudicated_dr_grade',
        'IMAGES',
        published=1_744,
        gradable='adjudicated_gradable',
      ),
    )
  ),
  # doi.org/10.21227/H25W98, the part on grading.
  'idrid': _Layout(
    parts=tuple(
      _Part(
        f'{_IDRID}/2. Groundtruths/'
        f'{letter}. IDRiD_Disease Grading_{name} Labels.csv',
        'Image name',
        'Retinopathy grade',
        f'{_IDRID}/1. Original Images/{letter}. {name} Set',
        split,
        published,
      )
      for letter, name, split, published in (
        ('a', 'Training', 'train', 413),
        ('b', 'Testing', 'test', 103),
      )
    )
  ),
}


@images.convert_listing_errors()
def find(manual_dir: str | os.PathLike, source: str) -> raw_dataset.RawDataset:
  """List the set `source`, of LAYOUTS, in the folder `manual_dir`.

  Raises:
    InputError: A table or a folder of images is missing, or cannot be read.
  """
  layout = LAYOUTS[source]
  dataset = raw_dataset.RawDataset(
    [], published={p.split: p.published for p in layout.parts}
  )
  for part in layout.parts:
    _add_part(dataset, pathlib.Path(manual_dir), part, layout.parse_name)
  return _pool(dataset) if layout.pooled else dataset


def _pool(dataset):
  """Take the splits of the source away, so that `splits` draws them."""
  return dataclasses.replace(
    dataset,
    records=[dataclasses.replace(r, split='') for r in dataset.records],
    published={'': sum(dataset.published.values())},
  )


def _add_part(dataset, root, part, parse_name):
  csv = _existing(root, part.csv, part.csv + '.zip')
  columns = (part.image, part.grade, part.gradable)
  table = tables.read(csv, [column for column in columns if column])
  files = _images(root, part.folder)
  # IDRiD uses the same names in both parts; they are other images.
  prefix = f'{part.split}/' if part.split else ''

  def record_of(row):
    stem, grade = _stem(row[part.image]), cells.integer(row[part.grade])
    path = files.get(stem.lower())
    if not path:
      raise raw_dataset.InvalidRecordError(
        'no such image', f'{stem}, in {part.folder}'
      )
    if part.gradable and cells.integer(row[part.gradable]) == 0:
      raise raw_dataset.InvalidRecordError('not gradable', stem)
    if str(grade) not in GRADES:
      raise raw_dataset.InvalidRecordError(
        'impossible label', f'{stem}: grade {row[part.grade]!r}'
      )
    patient, eye = parse_name(stem)
    return raw_dataset.Record(
      image_id=prefix + stem,
      patient_id=patient if eye else prefix + patient,
      path=path,
      split=part.split,
      labels={'grade': str(grade), 'eye': eye},
    )

  dataset.add_table(csv.name, tables.rows(table), record_of)
  named = {_stem(name).lower() for name in table[part.image]}
  dataset.problems += [
    raw_dataset.Problem('image without label', files[stem])
    for stem in sorted(files.keys() - named)
  ]


def _existing(root, *names):
  for name in names:
    if (root / name).exists():
      return root / name
  raise errors.InputError(f'no {names[0]} in {root}; see data/README.md')


def _images(root, folder):
  """Return {lower-case stem: path} of a folder or of its zip archive."""
  if (root / folder).is_dir():
    paths = [entry.path for entry in os.scandir(root / folder)]
  else:
    archive = _existing(root, folder, f'{folder}.zip', f'{folder}.zip.001')
    paths = archives.zip_members(archive)
  return {
    _stem(path.rpartition('::')[2]).lower(): path
    for path in paths
    if path.lower().endswith(images.EXTENSIONS)
    and not os.path.basename(path).startswith('._')  # Of macOS, no images.
  }


def _stem(name):
  """Return a file's name without folder and, if it is an image's, extension."""
  stem, extension = os.path.splitext(os.path.basename(name))
  return stem if extension.lower() in images.EXTENSIONS else stem + extension

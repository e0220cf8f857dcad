"""Flags of a table of one's own images: what its columns are."""

import os

from absl import flags

NAME = flags.DEFINE_string('name', None, 'What to call the prepared data set.')
PATH_COLUMN = flags.DEFINE_string(
  'path_column',
  'path',
  'The column of image paths, or of names of files anywhere below; A,B joins '
  'folders and names.',
)
LABEL_COLUMNS = flags.DEFINE_list(
  'label_columns', [], 'If not given, all that are nothing else.'
)
LABEL_KIND = flags.DEFINE_enum(
  'label_kind',
  None,
  ['label', 'grade', 'findings'],
  'Class names, ordered integers, or columns of 1, 0, -1 (uncertain) and '
  'blank; if not given, what the cells look like.',
)
LABEL_SEPARATOR = flags.DEFINE_string(
  'label_separator', '', 'One label column holds findings, such as A|B.'
)
IGNORE_COLUMNS = flags.DEFINE_list(
  'ignore_columns', [], 'Columns that are no labels.'
)
MAJORITY = flags.DEFINE_bool(
  'majority', False, 'Rows of one image are its readers, who vote.'
)
CLASSES = flags.DEFINE_list(
  'classes', [], 'The classes or grades in order, if not sorted.'
)
PATIENT_COLUMN = flags.DEFINE_string(
  'patient_column', '', 'If not given, each image is a patient.'
)
JOIN_PATIENTS = flags.DEFINE_bool(
  'join_patients',
  False,
  'Ids that differ by case, leading zeros or .0 alone are one patient.',
)
SPLIT_COLUMN = flags.DEFINE_string(
  'split_column', '', 'If not given, the split is drawn.'
)
TEST_LIST = flags.DEFINE_string(
  'test_list',
  '',
  'A text file of the names of the test images; the others are trained and '
  'validated on.',
)
TEST_CSV = flags.DEFINE_string(
  'test_csv', '', 'A second table, of the test images.'
)
SUBGROUP_COLUMNS = flags.DEFINE_list(
  'subgroup_columns',
  [],
  'Columns by which results are given apart, such as sex,view,age=18/40/65; '
  'numbers without beginnings of bands are cut at their quartiles.',
)
FUNDUS = flags.DEFINE_bool(
  'fundus',
  False,
  'Cut the disc of the fundus out of each photograph, as for retina.',
)
ALL = (
  NAME,
  PATH_COLUMN,
  LABEL_COLUMNS,
  LABEL_KIND,
  LABEL_SEPARATOR,
  IGNORE_COLUMNS,
  MAJORITY,
  CLASSES,
  PATIENT_COLUMN,
  JOIN_PATIENTS,
  SPLIT_COLUMN,
  TEST_LIST,
  TEST_CSV,
  SUBGROUP_COLUMNS,
  FUNDUS,
)


def columns(folder=''):
  """Return the `data.image_table.layout.Columns` that the flags describe.

  Args:
    folder: Where files that are named start.
  """
  from data.image_table import layout

  def within(path):
    return os.path.join(folder, path) if path else ''

  return layout.Columns(
    path=PATH_COLUMN.value,
    labels=tuple(LABEL_COLUMNS.value),
    patient=PATIENT_COLUMN.value,
    split=SPLIT_COLUMN.value,
    kind=LABEL_KIND.value or '',
    classes=tuple(CLASSES.value),
    ignored=tuple(IGNORE_COLUMNS.value),
    separator=LABEL_SEPARATOR.value,
    join_patients=JOIN_PATIENTS.value,
    majority=MAJORITY.value,
    test_list=within(TEST_LIST.value),
    test_csv=within(TEST_CSV.value),
    subgroups=tuple(SUBGROUP_COLUMNS.value),
  )

"""Preparing the images of a study, or of another site, once."""

import dataclasses
import functools
import os
import pathlib
import re

from transfusion_tf import datasets
from transfusion_tf import errors
from transfusion_tf.cli import app
from transfusion_tf.cli import table_flags

MANIFEST = 'raw_files.json'


def prepare(
  data_dir: str,
  csv: str | None,
  images: str,
  image_size: int,
  refuse_bad: bool,
) -> str:
  """Make DATA_DIR/NAME of a table, or of a folder for each class.

  What was prepared before is taken as it is, if the raw files are the same or
  gone.

  Args:
    data_dir: The folder of the study's data.
    csv: The table, or several; None takes folders for classes.
    images: Where its paths start.
    image_size: The shorter side to store.
    refuse_bad: If false, bad images are left out.

  Returns:
    The name of the data set.

  Raises:
    InputError: The raw data are not usable.
  """
  app.import_data()
  from data.image_table import image_table_dataset_builder

  fundus = table_flags.FUNDUS.value
  return _prepare(
    data_dir,
    csv,
    images,
    refuse_bad,
    {'image_size': image_size, 'fundus': fundus},
    functools.partial(
      image_table_dataset_builder.Builder, image_size=image_size, fundus=fundus
    ),
  )


def prepare_other_site(
  data_dir: str,
  csv: str | None,
  images: str,
  kind: str,
  side: int,
  refuse_bad: bool,
) -> str:
  """Make DATA_DIR/NAME as `prepare`, to score a network on it.

  Args:
    data_dir: The folder of the data.
    csv: The table, or several; None takes folders for classes.
    images: Where its paths start.
    kind: `StoredForm.kind` of the network's training images.
    side: `StoredForm.side` of them.
    refuse_bad: If false, bad images are left out.

  Returns:
    The name of the data set.

  Raises:
    InputError: The raw data are not usable, or the form is of no table.
  """
  app.import_data()
  from data.image_table import other_site

  if kind == 'as_it_is':
    raise errors.InputError(
      'the training images of this run were stored as their files are, by '
      'another project or of ImageNet: prepare the other site in the same way, '
      'and give it as --data_dir and --dataset'
    )
  return _prepare(
    data_dir,
    csv,
    images,
    refuse_bad,
    {'kind': kind, 'side': side},
    functools.partial(other_site.Builder, kind=kind, side=side),
    other_site.SPLIT,
  )


def _prepare(data_dir, csv, images, refuse_bad, form, builder_of, tested=''):
  """Make DATA_DIR/NAME; `tested` is the split of a set that is only scored."""
  from data import manifest
  from data import tables
  from data.image_table import layout

  columns, name = table_flags.columns(), _name(images)
  others = filter(None, [columns.test_list, columns.test_csv])
  paths = [*(tables.several(csv) if csv else []), *others]
  settings = {
    **dataclasses.asdict(columns),
    'name': name,
    **form,
    'on_bad': 'fail' if refuse_bad else 'skip',
    'by_folder': not csv,
  }
  record = os.path.join(data_dir, MANIFEST)
  if datasets.info_files(os.path.join(data_dir, name)):
    among = () if csv else layout.images_below(images)
    if manifest.is_unchanged(record, settings, paths, images, among):
      print(f'{name} is prepared, its raw files have not changed: no check')
      return name
  table = (
    layout.find(csv, images, columns)
    if csv
    else layout.find_folders(images, columns)
  )
  builder = builder_of(name=name, table=table, data_dir=data_dir)
  listed = list(table.dataset.records)
  checked = builder.check(images)
  print(checked)
  checked.write(os.path.join(data_dir, 'preflight', checked.name))
  if tested:
    checked.refuse(bad=refuse_bad, split=tested)
  else:
    checked.refuse(bad=refuse_bad)
    checked.refuse_untrainable()
  builder.build(checked, remedy='give another --output_dir')
  manifest.write(
    record, settings, paths, listed, checked.dataset.records, images
  )
  return name


def _name(images):
  if table_flags.NAME.value:
    return table_flags.NAME.value
  folder = pathlib.Path(images).resolve().name
  return re.sub('[^a-z0-9]+', '_', f'own {folder}'.lower()).strip('_')

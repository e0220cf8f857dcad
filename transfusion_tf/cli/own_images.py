"""Preparing the images of a study, of another site, or to pretrain on, once."""

from collections.abc import Callable, Sequence
import dataclasses
import functools
import os
from typing import Any

from transfusion_tf import datasets
from transfusion_tf import errors
from transfusion_tf.cli import app
from transfusion_tf.cli import table_flags

MANIFEST = 'raw_files.json'


def prepare(
  data_dir: str, given: Any, image_size: int, refuse_bad: bool, seed: int = 0
) -> str:
  """Make DATA_DIR/NAME of raw data.

  What was prepared before is taken as it is, if the raw files are the same or
  gone.

  Args:
    data_dir: The folder of the study's data.
    given: The result of `given`.
    image_size: The shorter side to store.
    refuse_bad: If false, bad images are left out.
    seed: Seed of the splits that are drawn.

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
    given,
    refuse_bad,
    {'image_size': image_size, 'fundus': fundus, 'split_seed': seed},
    functools.partial(
      image_table_dataset_builder.Builder, image_size=image_size, fundus=fundus
    ),
    table_flags.columns(),
    table_flags.NAME.value or given.name,
  )


def prepare_pretraining(
  data_dir: str, given: Any, refuse_bad: bool, seed: int = 0
) -> str:
  """Make DATA_DIR/NAME as `prepare`, to pretrain on, at the pictures' own size.

  The columns of a table are known by their usual names.

  Raises:
    InputError: The raw data are not usable.
  """
  app.import_data()
  from data.image_table import image_table_dataset_builder
  from data.image_table import layout

  return _prepare(
    data_dir,
    given,
    refuse_bad,
    {'image_size': 0, 'split_seed': seed},
    image_table_dataset_builder.Builder,
    layout.Columns(usual=True),
    given.name,
  )


def prepare_other_site(
  data_dir: str,
  given: Any,
  kind: str,
  side: int,
  refuse_bad: bool,
  check_names: Callable[[str, str, Sequence[str]], Any],
) -> str:
  """Make DATA_DIR/NAME as `prepare`, to score a network on it.

  Args:
    data_dir: The folder of the data.
    given: The result of `given`.
    kind: `StoredForm.kind` of the network's training images.
    side: `StoredForm.side` of them.
    refuse_bad: If false, bad images are left out.
    check_names: Called with the name of the set, the kind and the names of its
      labels, before a picture is read; raises InputError if they do not fit.

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
    given,
    refuse_bad,
    {'kind': kind, 'side': side},
    functools.partial(other_site.Builder, kind=kind, side=side),
    table_flags.columns(),
    table_flags.NAME.value or given.name,
    other_site.SPLIT,
    check_names,
  )


def _prepare(
  data_dir,
  given,
  refuse_bad,
  form,
  builder_of,
  columns,
  name,
  tested='',
  check_names=lambda *_: None,
):
  """Make DATA_DIR/NAME; `tested` is the split of a set that is only scored."""
  from data import manifest
  from data.image_table import layout

  others = filter(None, [columns.test_list, columns.test_csv])
  paths = [*given.files, *others]
  settings = {
    **dataclasses.asdict(columns),
    'name': name,
    **form,
    'on_bad': 'fail' if refuse_bad else 'skip',
    'by_folder': given.kind == 'folder',
  }
  if given.kind not in ('table', 'folder'):
    settings['data'] = given.kind
  record = os.path.join(data_dir, MANIFEST)
  if datasets.info_files(os.path.join(data_dir, name)):
    among = layout.images_below(given.path) if given.kind == 'folder' else ()
    if manifest.is_unchanged(
      record, settings, paths, given.root, among, given.is_gone
    ):
      print(f'{name} is prepared, its raw files have not changed: no check')
      return name
  table = layout.read(given.read(columns))
  check_names(name, table.kind, table.names)
  builder = builder_of(name=name, table=table, data_dir=data_dir)
  listed = list(table.dataset.records) if given.has_image_files else []
  checked = builder.check(given.root, form.get('split_seed', 0))
  print(checked)
  checked.write(os.path.join(data_dir, 'preflight', checked.name))
  if tested:
    checked.refuse(bad=refuse_bad, split=tested)
  else:
    checked.refuse(bad=refuse_bad)
    checked.refuse_untrainable()
  builder.build(checked, remedy='give another --output_dir')
  manifest.write(
    record, settings, paths, listed, checked.dataset.records, given.root
  )
  return name


def given(
  data: str,
  csv: str | None,
  images: str | None,
  data_dir: str,
  flag: str = 'data',
) -> Any:
  """Return the raw data that flags name: a `data.image_table.given.Given`.

  Args:
    data: Value of --data.
    csv: Value of --table; without it, --images are folders for classes.
    images: Value of --images.
    data_dir: Where it is prepared, or was: then it need not be there any more.
    flag: The flag in place of --data.

  Returns:
    What they name; None if they name nothing.

  Raises:
    InputError: There is none, or too much is named.
  """
  app.import_data()
  from data import manifest
  from data.image_table import given as given_lib

  if data and csv:
    raise errors.InputError('--data and --table both name the data: give one')
  if data:
    before = manifest.settings(os.path.join(data_dir, MANIFEST))
    kind = before.get('data', 'folder' if before.get('by_folder') else 'table')
    return given_lib.parse(data, images or '', kind if before else '', flag)
  if not images:
    return None
  if csv:
    return given_lib.Given(given_lib.TABLE, csv, images)
  return given_lib.Given(given_lib.FOLDER, images)

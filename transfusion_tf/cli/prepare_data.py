r"""Checks a raw data set and turns it into a prepared one.

DATA_DIR/NAME[/CONFIG]/1.0.0 then holds `train`, `validation` and `test`, with
splits.csv and the report of the check beside them; data/README.md tells where
each raw set is obtained and what its folder looks like.

  python bin/prepare_data.py --dataset=retina --manual_dir=RAW/retina \
    --data_dir=DATA
  python bin/prepare_data.py --data=RAW/mine/labels.csv --name=mine \
    --data_dir=DATA
"""

import importlib
import os
import pathlib

from absl import flags

from transfusion_tf import datasets
from transfusion_tf import startup
from transfusion_tf.cli import app
from transfusion_tf.cli import table_flags as table_flags_lib

_TABLE = 'image_table'

_DATASET = flags.DEFINE_enum(
  'dataset',
  None,
  [*datasets.DATASETS, _TABLE],
  'What kind of raw data set it is.',
)
_MANUAL_DIR = flags.DEFINE_string('manual_dir', None, 'The raw data set.')
_DATA = flags.DEFINE_string(
  'data',
  '',
  'In place of both, images and labels of your own: a table, a folder of a '
  'folder for each class, or what MedMNIST, Hugging Face, WebDataset or TFDS '
  'writes; found by what it is, or said as table:, folder:, medmnist:, '
  'imagefolder:, hf:, webdataset:, tfds:.',
)
_DATA_DIR = flags.DEFINE_string(
  'data_dir',
  None,
  'Where prepared data sets are; may be a bucket.',
  required=True,
)
_CHECK_ONLY = flags.DEFINE_bool(
  'check_only', False, 'Only look whether the raw data set is right.'
)
_ON_BAD = flags.DEFINE_enum(
  'on_bad',
  'fail',
  ['fail', 'skip'],
  'What to do about bad images and labels: build nothing, or leave them out.',
)
_SPLIT_FILE = flags.DEFINE_string(
  'split_file', '', 'The splits.csv of an earlier build, to split alike.'
)
_SEED = flags.DEFINE_integer('seed', 0, 'Seed of the split.', lower_bound=0)
flags.DEFINE_alias('split_seed', 'seed')  # As study.py has it.
_OVERWRITE = flags.DEFINE_bool(
  'overwrite', False, 'Build anew what was prepared from other raw data.'
)
_SOURCE = flags.DEFINE_string(
  'source',
  None,
  'retina: kaggle, kaggle_pooled (its train and test folders as one pool), '
  'aptos2019, messidor2 or idrid; chexpert: small or full. The first is the '
  'default.',
)
_IMAGE_SIZE = flags.DEFINE_integer(
  'image_size',
  None,
  'Side of the stored images: a square of 587 (retina) or 256 (chexpert) if '
  'not given; for an image table the shorter side, which is left as it is if '
  'not given.',
  8,
  8192,
)
_NUM_PROCESSES = flags.DEFINE_integer(
  'num_processes', 0, '0 is one a core.', 0, 256
)
_BEAM_RUNNER = flags.DEFINE_string(
  'beam_runner',
  None,
  'Build through Apache Beam: DirectRunner, DataflowRunner, FlinkRunner, ...',
)
_BEAM_OPTIONS = flags.DEFINE_list(
  'beam_options', [], "The runner's options, without the dashes."
)
_CSV = flags.DEFINE_string(
  'csv',
  'labels.csv',
  'The table, relative to manual_dir; A,B adds the columns of others. Without '
  'one, folders with the names of classes are.',
)
_IMAGE_ROOT = flags.DEFINE_string(
  'image_root', '', 'Where paths start, relative to manual_dir.'
)
for _flag in table_flags_lib.ALL:
  flags.declare_key_flag(_flag.name)


def _builder():
  """Return the builder that the flags ask for."""
  if _DATA.value:
    return _builder_of_given()
  if _DATASET.value == _TABLE:
    return _image_table_builder()
  module = importlib.import_module(datasets.DATASETS[_DATASET.value].builder)
  return module.Builder.from_source(
    _DATA_DIR.value, _SOURCE.value, _IMAGE_SIZE.value
  )


def _image_table_builder():
  from data.image_table import layout
  from transfusion_tf import errors

  name = table_flags_lib.NAME.value
  if not name:
    raise errors.InputError('--dataset=image_table needs a --name')
  raw, csv = pathlib.Path(_MANUAL_DIR.value), _CSV.value
  root, columns = raw / _IMAGE_ROOT.value, table_flags_lib.columns(raw)
  by_folder = not (flags.FLAGS['csv'].present or os.path.exists(raw / csv))
  table = (
    layout.find_folders(root, columns)
    if by_folder
    else layout.find(raw / csv, root, columns)
  )
  return _table_builder(name, table)


def _builder_of_given():
  """Return the builder of what --data names."""
  from data.image_table import given as given_lib
  from data.image_table import layout

  given = given_lib.parse(_DATA.value, _IMAGE_ROOT.value)
  name = table_flags_lib.NAME.value or given.name
  return _table_builder(
    name, layout.read(given.read(table_flags_lib.columns()))
  )


def _table_builder(name, table):
  from data.image_table import image_table_dataset_builder

  return image_table_dataset_builder.Builder(
    name=name,
    table=table,
    image_size=_IMAGE_SIZE.value or 0,
    fundus=table_flags_lib.FUNDUS.value,
    data_dir=_DATA_DIR.value,
  )


def main(_) -> None:
  app.import_data()
  from absl import logging
  from etils import epath

  from data import base_builder

  logging.set_verbosity(logging.ERROR)  # TFDS warns of every new image size.

  builder = _builder()
  builder.num_processes = _NUM_PROCESSES.value
  runner, options = _BEAM_RUNNER.value, _BEAM_OPTIONS.value
  beam = base_builder.beam_config(runner, options) if runner else None
  checked = builder.check(
    _MANUAL_DIR.value or '', _SEED.value, _SPLIT_FILE.value
  )
  print(checked)
  reports = epath.Path(_DATA_DIR.value) / 'preflight' / checked.name
  checked.write(reports)
  print(f'report: {reports / "preflight.html"}')
  checked.refuse(bad=_ON_BAD.value == 'fail')
  if not _CHECK_ONLY.value:
    startup.import_tensorflow()
    built = builder.build(checked, _OVERWRITE.value, beam)
    print(f'prepared: {builder.data_dir}' + ' (was there)' * (not built))


def _names_one_set(values):
  if values['data']:
    return not values['dataset'] and not values['manual_dir']
  return bool(values['dataset'] and values['manual_dir'])


def run() -> None:
  """Run the command."""
  flags.register_multi_flags_validator(
    ['dataset', 'manual_dir', 'data'],
    _names_one_set,
    'Give --dataset and --manual_dir, or --data.',
  )
  names = ['data', 'csv', 'image_root', *(f.name for f in table_flags_lib.ALL)]
  app.run(main, dict.fromkeys(names, 'An image table'))

r"""Writes a prepared data set as Parquet files that others read.

  python bin/export_data.py --data_dir=DATA --dataset=NAME --output_dir=FOLDER \
    --license=cc-by-4.0 --citation='Who, what, where'

FOLDER/data has the splits, a row an image: its bytes as they are stored, label,
image_id and patient_id. Hugging Face's load_dataset(FOLDER) and pandas read
them. FOLDER/croissant.json says what they are in MLCommons' Croissant.
"""

from absl import flags

from transfusion_tf import startup
from transfusion_tf.cli import app

_DATA_DIR = flags.DEFINE_string(
  'data_dir',
  None,
  'Where prepared data sets are; may be a bucket.',
  required=True,
)
_DATASET = flags.DEFINE_string(
  'dataset', None, 'The prepared data set.', required=True
)
_OUTPUT_DIR = flags.DEFINE_string(
  'output_dir', None, 'Folder to make.', required=True
)
_OVERWRITE = flags.DEFINE_bool('overwrite', False, 'Replace an earlier export.')
_ABOUT = {
  name: flags.DEFINE_string(name, '', f'For the Croissant: {what}.')
  for name, what in (
    ('license', 'its address, an identifier as cc-by-4.0, or a name'),
    ('citation', 'how to cite the set, also as BibTeX'),
    ('description', 'what it shows'),
    ('url', 'where it is published'),
  )
}


def main(_) -> None:
  startup.import_tensorflow()
  from transfusion_tf import data_export
  from transfusion_tf.input_pipeline import tfds_folder

  about = data_export.About(
    **{name: flag.value for name, flag in _ABOUT.items()}
  )
  prepared = tfds_folder.open_dataset(_DATA_DIR.value, _DATASET.value)
  counts = data_export.write(
    prepared, _OUTPUT_DIR.value, about, _OVERWRITE.value
  )
  for split, count in counts.items():
    print(f'{split}: {count:,} rows')
  if not about.license:
    print('note: no --license is stated: nobody knows what is allowed')
  print(f'exported: {_OUTPUT_DIR.value}')


def run() -> None:
  """Run the command."""
  app.run(main)

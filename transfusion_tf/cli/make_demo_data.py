"""Writes small raw data sets, in the layouts of the real ones.

  python bin/make_demo_data.py --raw_dir=RAW

RAW_DIR/retina          Kaggle's DR challenge: fundus photographs, grades
RAW_DIR/chexpert        CheXpert-v1.0-small: chest x-rays, 14 observations
RAW_DIR/natural         a folder of images and labels.csv: natural pictures

The same flags give the same bytes. `prepare_data.py` takes it from there.
"""

from collections.abc import Callable
import pathlib

from absl import flags

from transfusion_tf import errors
from transfusion_tf import storage
from transfusion_tf.cli import app

_ALL_SETS = ('retina', 'chexpert', 'natural')

_RAW_DIR = flags.DEFINE_string(
  'raw_dir', None, 'Where to write.', required=True
)
_IMAGE_SIZE = flags.DEFINE_integer(
  'image_size', 96, 'Height of the images in pixels.', 16, 4096
)
_NUM_PATIENTS = flags.DEFINE_integer(
  'num_patients',
  450,
  'Patients in each of the medical sets; a third of them are for testing.',
  3,
  10**6,
)
_NUM_NATURAL = flags.DEFINE_integer(
  'num_natural', 1600, 'Images in the natural set.', 16, 10**6
)
_LESION_SIZE = flags.DEFINE_float(
  'lesion_size',
  1.0,
  'Size of the lesions in fundus photographs, as a multiple: 3 shows them at '
  '32 pixels.',
  0.1,
  100,
)
_SETS = flags.DEFINE_multi_enum(
  'set', list(_ALL_SETS), list(_ALL_SETS), 'Which sets; may be repeated.'
)
_SEED = flags.DEFINE_integer('seed', 0, 'Seed of everything.', lower_bound=0)


def main(_) -> None:
  app.import_data()
  from data.demo import chexpert
  from data.demo import files
  from data.demo import natural
  from data.demo import retina

  if not _RAW_DIR.value or storage.is_remote(_RAW_DIR.value):
    raise errors.InputError(
      f'--raw_dir={_RAW_DIR.value}: give a folder of this machine'
    )
  raw_dir = pathlib.Path(_RAW_DIR.value)
  size, seed = _IMAGE_SIZE.value, _SEED.value
  patients: dict[str, float] = {'num_patients': _NUM_PATIENTS.value}
  lesions = {'lesion_size': _LESION_SIZE.value}
  images: dict[str, float] = {'num_images': _NUM_NATURAL.value}
  jobs: dict[str, tuple[str, Callable[..., None], dict[str, float]]] = {
    'retina': ('retina', retina.write, patients | lesions),
    'chexpert': ('chexpert/CheXpert-v1.0-small', chexpert.write, patients),
    'natural': ('natural', natural.write, images),
  }
  for name in dict.fromkeys(_SETS.value):
    subfolder, write, amount = jobs[name]
    folder = raw_dir / subfolder
    new = files.make(folder, write, image_size=size, seed=seed, **amount)
    print(folder if new else f'{folder} (was there)')


def run() -> None:
  """Run the command."""
  app.run(main)

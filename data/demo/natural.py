"""A demo set of natural pictures: crops of photographs and textures.

They ship inside scikit-image and scikit-learn; nothing is downloaded. A folder
of images and `labels.csv` (path, label), the label being the picture's name.
"""

import functools
import pathlib

import numpy as np
from PIL import Image
from skimage import data
from sklearn import datasets

from data import parallel
from data.demo import files

_PICTURES = {
  'astronaut': data.astronaut,
  'brick': data.brick,
  'camera': data.camera,
  'cat': data.chelsea,
  'coffee': data.coffee,
  'coins': data.coins,
  'flower': lambda: datasets.load_sample_image('flower.jpg'),
  'galaxies': data.hubble_deep_field,
  'grass': data.grass,
  'gravel': data.gravel,
  'moon': data.moon,
  'motorcycle': lambda: data.stereo_motorcycle()[0],
  'page': data.page,
  'pagoda': lambda: datasets.load_sample_image('china.jpg'),
  'rocket': data.rocket,
  'tissue': data.immunohistochemistry,
}
CLASSES = tuple(_PICTURES)
_FINER = 3  # Cut out at this many times the final size, against aliasing.


def write(
  folder: pathlib.Path, image_size: int, num_images: int, seed: int
) -> None:
  """Write `num_images` crops, the classes taking turns."""
  jobs = [(folder, image_size, seed, number) for number in range(num_images)]
  rows = list(parallel.ordered_map(_write_crop, jobs, title='natural'))
  files.save_csv(rows, ('path', 'label'), folder / 'labels.csv')


def _write_crop(job):
  folder, image_size, seed, number = job
  label = CLASSES[number % len(CLASSES)]
  path = f'images/{label}/{number // len(CLASSES):05d}.jpg'
  rng = np.random.default_rng([seed, number])
  files.save_jpeg(_crop(label, image_size, rng), folder / path)
  return {'path': path, 'label': label}


@functools.cache
def _photograph(label):
  return Image.fromarray(_PICTURES[label]()).convert('RGB')


def _crop(label, size, rng):
  """Return a square piece, turned a little, in other light: [size, size, 3]."""
  photograph = _photograph(label)
  side = rng.uniform(0.35, 0.7) * min(photograph.size)
  left, top = rng.uniform(0, np.subtract(photograph.size, side))
  rotation, flip = rng.uniform(-0.3, 0.3), rng.choice([-1, 1])
  fine = _FINER * size
  cos, sin = side / fine * np.cos(rotation), side / fine * np.sin(rotation)
  # The affine map from the crop's pixels to the photograph's, about centers.
  matrix = np.array([[flip * cos, sin], [-flip * sin, cos]])
  offset = np.array([left, top]) + side / 2 - matrix @ [fine / 2, fine / 2]
  rows = np.column_stack([matrix, offset])
  crop = photograph.transform(
    (fine, fine),
    Image.Transform.AFFINE,
    tuple(rows.ravel()),
    Image.Resampling.BILINEAR,
  ).reduce(_FINER)
  light = rng.uniform(0.7, 1.2) * rng.uniform(0.85, 1.15, size=3)
  pixels = np.asarray(crop, np.float32) * light.astype(np.float32)
  return pixels.clip(0, 255).astype(np.uint8)

"""A demo fundus set in the folder layout of Kaggle's DR challenge.

`train/<patient>_<left|right>.jpeg`, `trainLabels.csv` (image, level), `test/`
and `retinopathy_solution.csv` (image, level, Usage).
"""

import pathlib

import numpy as np
from scipy import special

from data import parallel
from data.demo import files
from data.demo import fundus

# Kaggle's shares are 73, 7, 15, 3 and 2 %: softened here, so that a small set
# has enough of every grade.
_FRACTIONS = (0.55, 0.10, 0.20, 0.09, 0.06)
_CORRELATION = 0.85  # Between the severities of a patient's two eyes.
_DISAGREEMENT = 0.10  # Fraction of eyes that their grader puts one grade off.
_TEST_FRACTION = 1 / 3  # Of the patients.


def write(
  folder: pathlib.Path,
  image_size: int,
  num_patients: int,
  seed: int,
  lesion_size: float = 1.0,
) -> None:
  """Write the set; a patient's pictures depend on the seed alone."""
  jobs = [
    (folder, image_size, seed, lesion_size, patient)
    for patient in range(1, num_patients + 1)
  ]
  rows: dict[str, list[dict]] = {'train': [], 'test': []}
  for split, labels in parallel.ordered_map(
    _write_patient, jobs, title='retina', unit='patient'
  ):
    rows[split] += labels
  for split, name, columns in (
    ('train', 'trainLabels.csv', ('image', 'level')),
    ('test', 'retinopathy_solution.csv', ('image', 'level', 'Usage')),
  ):
    files.save_csv(rows[split], columns, folder / name)


def _write_patient(job):
  folder, image_size, seed, lesion_size, patient = job
  rng = np.random.default_rng([seed, patient])
  split, extra = 'train', {}
  if rng.random() < _TEST_FRACTION:
    # Kaggle's own cut of its test set; we use both parts as one.
    split, extra = 'test', {'Usage': rng.choice(['Public', 'Private'])}
  severity, rows = rng.normal(), []
  for eye in ('left', 'right'):
    grade = _grade(severity, rng)
    name = f'{patient}_{eye}'
    picture = fundus.photograph(
      image_size, eye, grade, [seed, patient], lesion_size
    )
    files.save_jpeg(picture, folder / split / f'{name}.jpeg')
    rows.append({'image': name, 'level': _graded(grade, rng), **extra})
  return split, rows


def _grade(severity, rng):
  """Return the grade of one eye: a normal severity, cut at the shares."""
  own = np.sqrt(1 - _CORRELATION) * rng.normal()
  quantile = special.ndtr(np.sqrt(_CORRELATION) * severity + own)
  return int(np.searchsorted(np.cumsum(_FRACTIONS[:-1]), quantile))


def _graded(grade, rng):
  """Return what a grader writes down."""
  if rng.random() < _DISAGREEMENT:
    grade += rng.choice([-1, 1])
  return int(np.clip(grade, 0, 4))

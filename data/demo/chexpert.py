"""A demo chest x-ray set in the folder layout of CheXpert.

`train/patient00001/study1/view1_frontal.jpg`, `train.csv`, `valid.csv`, with
CheXpert's columns and its four states: 1.0 positive, 0.0 negative, -1.0
uncertain, blank not mentioned. In `valid` every state is positive or negative,
as three radiologists left it.
"""

import pathlib

import numpy as np
from scipy import special

from data import parallel
from data.chexpert import layout
from data.demo import files
from data.demo import radiograph

# The fraction of studies with each finding that is drawn.
_FRACTIONS = {
  'Cardiomegaly': 0.20,
  'Edema': 0.22,
  'Consolidation': 0.15,
  'Atelectasis': 0.22,
  'Pleural Effusion': 0.35,
  'Support Devices': 0.40,
}
_SICKNESS = 0.3  # How far a patient's findings go together: a correlation.
_COLUMNS = (
  'Path',
  'Sex',
  'Age',
  'Frontal/Lateral',
  'AP/PA',
  *layout.OBSERVATIONS,
)
_OPACITIES = {'Edema', 'Consolidation', 'Atelectasis'}
# What a report makes of a finding that is there, and of one that is not.
_STATES = ('1.0', '0.0', '-1.0', '')
_REPORTED = {True: (0.84, 0.0, 0.12, 0.04), False: (0.0, 0.22, 0.05, 0.73)}
_VALID_FRACTION = 1 / 3  # Of the patients.
_FIRST_VALID_PATIENT = 64541  # As in CheXpert.


def write(
  folder: pathlib.Path, image_size: int, num_patients: int, seed: int
) -> None:
  """Write the set; a patient's pictures depend on the seed alone."""
  num_valid = round(_VALID_FRACTION * num_patients)
  patients = {
    'train': range(1, num_patients - num_valid + 1),
    'valid': range(_FIRST_VALID_PATIENT, _FIRST_VALID_PATIENT + num_valid),
  }
  for split, numbers in patients.items():
    jobs = [(folder, split, image_size, seed, number) for number in numbers]
    rows = []
    for labels in parallel.ordered_map(
      _write_patient, jobs, title=f'chexpert {split}', unit='patient'
    ):
      rows += labels
    files.save_csv(rows, _COLUMNS, folder / f'{split}.csv')


def _write_patient(job):
  folder, split, image_size, seed, number = job
  rng = np.random.default_rng([seed, number])
  patient = {'Sex': rng.choice(['Female', 'Male']), 'Age': rng.integers(18, 91)}
  sickness, rows = rng.normal(), []
  for study in range(1, 1 + (1 if split == 'valid' else rng.geometric(0.6))):
    findings = _findings(sickness, rng)
    labels = _labels(findings, split, rng)
    views = ['Frontal', 'Lateral'][: 1 + (rng.random() < 0.25)]
    for position, view in enumerate(views, start=1):
      name = f'patient{number:05d}/study{study}/view{position}_{view.lower()}'
      path = folder / split / f'{name}.jpg'
      picture = radiograph.render(
        image_size, view, findings, [seed, number], study
      )
      files.save_jpeg(picture, path)
      projection = rng.choice(['AP', 'PA']) if view == 'Frontal' else ''
      row = {'Path': f'CheXpert-v1.0-small/{split}/{name}.jpg'}
      row |= {'Frontal/Lateral': view, 'AP/PA': projection}
      rows.append(row | patient | labels)
  return rows


def _findings(sickness, rng):
  """Return what a study shows: normal scores of sickness, cut at the shares."""
  own = np.sqrt(1 - _SICKNESS) * rng.normal(size=len(_FRACTIONS))
  quantiles = special.ndtr(np.sqrt(_SICKNESS) * sickness + own)
  return {
    name
    for (name, fraction), quantile in zip(
      _FRACTIONS.items(), quantiles, strict=True
    )
    if quantile > 1 - fraction
  }


def _labels(findings, split, rng):
  """Return {observation: state}, as reported or, for `valid`, as it is."""
  present = set(findings)
  if present & _OPACITIES:
    present.add('Lung Opacity')
  if not present - {'Support Devices'}:
    present.add('No Finding')
  if split == 'valid':
    return {name: f'{name in present:.1f}' for name in layout.OBSERVATIONS}
  labels = {
    name: rng.choice(_STATES, p=_REPORTED[name in present])
    for name in layout.OBSERVATIONS
  }
  # CheXpert's labeler knows no other state for it.
  labels['No Finding'] = '1.0' if 'No Finding' in present else ''
  return labels

r"""Scores a split with a checkpoint: metrics with intervals, scores as CSV.

  python bin/evaluate.py --run_dir=RUN@best --split=test

Sensitivity and specificity are given at two thresholds, which are chosen on the
validation images of the run's own data: --specificity and --sensitivity say
what these have to show; --store_points makes predict.py and export.py decide by
them. A calibration curve is drawn beside the scores.

Another site's data set is scored by --data_dir and --dataset. Its classes or
findings are matched with the outputs by name; where it has other names,
--class_map says which is which:

  python bin/evaluate.py --run_dir=RUN --data_dir=DATA --dataset=elsewhere \
    --class_map=abnormal=malignant,normal=benign
"""

from absl import flags

from transfusion_tf import startup
from transfusion_tf.cli import app
from transfusion_tf.cli import checkpoint_flags
from transfusion_tf.cli import operating_flags

checkpoint_flags.define(__name__, checkpoint='best')
_MOST_CONFUSED = 20  # Classes of a confusion matrix that is printed.
_SPLIT = flags.DEFINE_string('split', 'test', 'Split of the data set.')
_DATASET = flags.DEFINE_string(
  'dataset', '', 'Another prepared data set than the one of training.'
)
_CLASS_MAP = flags.DEFINE_list(
  'class_map', [], 'THEIRS=OURS: a name of the data set, that of an output.'
)
_STORE_POINTS = flags.DEFINE_bool(
  'store_points',
  False,
  'Store the thresholds with the run: predict.py and export.py decide by them.',
)
_CALIBRATE = flags.DEFINE_bool(
  'calibrate',
  False,
  'Fit a temperature on validation, and store it with the thresholds.',
)
flags.adopt_module_key_flags(operating_flags)


def main(_) -> None:
  startup.import_tensorflow()
  from transfusion_tf import errors
  from transfusion_tf import metrics
  from transfusion_tf.input_pipeline import label_counts
  from transfusion_tf.run import build as run_lib
  from transfusion_tf.run import scores as scores_lib
  from transfusion_tf.study.plots import reliability

  run_dir, checkpoint = checkpoint_flags.named()
  split = _SPLIT.value
  run = run_lib.load_run(
    run_dir,
    checkpoint,
    _DATASET.value,
    _CLASS_MAP.value,
    **checkpoint_flags.runtime_changes(),
  )
  if not scores_lib.is_training_data(run, run_dir):
    for note in run.source.label_map.notes(run.source.prepared.name):
      print(f'note: {note}')
  if missing := label_counts.lacking(run.source.prepared, split):
    print(
      f'note: {split} of {run.source.prepared.name} has '
      f'{errors.listed(missing)}: what is missing cannot be scored'
    )
  scores, summaries = run_lib.evaluate(run, split)
  if _STORE_POINTS.value or _CALIBRATE.value:
    stored = scores_lib.store_decisions(
      run, run_dir, checkpoint, operating_flags.targets(), _CALIBRATE.value
    )
  validation, lacking = scores_lib.validation(run, run_dir, split, checkpoint)
  points = []
  if validation is not None:
    points = scores_lib.operating_points(
      validation, scores, operating_flags.targets()
    )
  path = scores_lib.write(
    run, run_dir, split, checkpoint, scores, summaries, points
  )
  for name, metric in summaries.items():
    print(f'{split} {name} {metrics.text(metric)}')
  for point in points:
    print(f'{split} {metrics.operating_points.text(point)}')
  if lacking:
    print(f'note: no operating points: {lacking}')
  for line in _confusion(scores_lib.confusion(run.task, scores)):
    print(line)
  if _STORE_POINTS.value or _CALIBRATE.value:
    at = stored.temperature
    print(
      f'stored with the run: {len(stored.points)} thresholds'
      + (f', temperature {at:.3f}' if at is not None else '')
    )
  curve = path.removesuffix('.csv') + '_reliability.png'
  if reliability.write(curve, scores):
    noise = reliability.noise(scores)
    print(
      f'calibration curve: {curve} (a perfectly calibrated network would show '
      f'an ece of about {noise:.3f} on so many images)'
    )
  print(f'{len(scores)} images; scores: {path}')


def _confusion(matrix):
  """Return the lines of a confusion matrix; none of very many classes."""
  names, counts = matrix.get('names', ()), matrix.get('counts', ())
  if not 0 < len(names) <= _MOST_CONFUSED:
    return []
  cells = [['true \\ most probable', *names]]
  cells += [[n, *map(str, row)] for n, row in zip(names, counts, strict=True)]
  widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
  return [
    '  '.join(
      cell.rjust(width) if n else cell.ljust(width)
      for n, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    for row in cells
  ]


def run() -> None:
  """Run the command."""
  app.run(main)

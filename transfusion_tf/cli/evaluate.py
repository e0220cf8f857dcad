r"""Scores a split with a checkpoint: metrics with intervals, scores as CSV.

  python bin/evaluate.py --run_dir=RUN@best --split=test

Sensitivity and specificity are given at two thresholds, which are chosen on the
validation images of the run's own data: --specificity and --sensitivity say
what these have to show; --store_points makes predict.py and export.py decide by
them. A calibration curve is drawn beside the scores.

Several runs are scored as one, the mean of their probabilities, beside each of
them, with the gain over the best single one and over their mean:

  python bin/evaluate.py --run_dir=A,B,C --output_dir=ENSEMBLE

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

checkpoint_flags.define(__name__, checkpoint='best', several=True)
_SPLIT = flags.DEFINE_string('split', 'test', 'Split of the data set.')
_DATASET = flags.DEFINE_string(
  'dataset', '', 'Another prepared data set than the one of training.'
)
_CLASS_MAP = flags.DEFINE_list(
  'class_map', [], 'THEIRS=OURS: a name of the data set, that of an output.'
)
_OUTPUT_DIR = flags.DEFINE_string(
  'output_dir', '', 'Folder of the results of several runs.'
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
  from transfusion_tf.cli import evaluate_ensemble
  from transfusion_tf.run import ensemble

  named = checkpoint_flags.named_all()
  if len(named) == 1:
    _evaluate_run(*named[0])
    return
  if not _OUTPUT_DIR.value:
    raise errors.InputError(
      '--run_dir names several runs: say with --output_dir where the results '
      'of their mean go'
    )
  if _STORE_POINTS.value or _CALIBRATE.value:
    raise errors.InputError(
      '--store_points and --calibrate are for one run: the thresholds of '
      "several are chosen on their members' validation scores wherever they "
      'are used'
    )
  together = ensemble.load_run(
    named,
    _DATASET.value,
    _CLASS_MAP.value,
    **checkpoint_flags.runtime_changes(),
  )
  evaluate_ensemble.evaluate(
    together, _SPLIT.value, _OUTPUT_DIR.value, operating_flags.targets()
  )


def _evaluate_run(run_dir, checkpoint):
  from transfusion_tf.cli import evaluation_text
  from transfusion_tf.run import build as run_lib
  from transfusion_tf.run import scores as scores_lib

  split = _SPLIT.value
  run = run_lib.load_run(
    run_dir,
    checkpoint,
    _DATASET.value,
    _CLASS_MAP.value,
    **checkpoint_flags.runtime_changes(),
  )
  is_own = scores_lib.is_training_data(run, run_dir)
  for note in evaluation_text.notes(run, split, is_own):
    print(note)
  scores, summaries = run_lib.evaluate(run, split)
  stored = None
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
  for line in evaluation_text.lines(
    run.task, split, scores, summaries, points, lacking
  ):
    print(line)
  if stored:
    at = stored.temperature
    print(
      f'stored with the run: {len(stored.points)} thresholds'
      + (f', temperature {at:.3f}' if at is not None else '')
    )
  for line in evaluation_text.files(path, scores):
    print(line)


def run() -> None:
  """Run the command."""
  app.run(main)

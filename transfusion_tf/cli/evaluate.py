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
  python bin/evaluate.py --run_dir=RUN --table=LIST.csv --images=FOLDER \
    --class_map=abnormal=malignant,normal=benign --output_dir=ELSEWHERE

Raw images are prepared as those of the training were. A page beside the scores
compares the site with the internal test: metrics, with the interval of their
difference, the thresholds of validation, calibration, and the pictures.
"""

import os

from absl import flags

from transfusion_tf import startup
from transfusion_tf.cli import app
from transfusion_tf.cli import checkpoint_flags
from transfusion_tf.cli import operating_flags
from transfusion_tf.cli import table_flags

checkpoint_flags.define(__name__, checkpoint='best', several=True)
_SPLIT = flags.DEFINE_string('split', 'test', 'Split of the data set.')
_DATASET = flags.DEFINE_string(
  'dataset', '', 'Another prepared data set than the one of training.'
)
_CLASS_MAP = flags.DEFINE_list(
  'class_map', [], 'THEIRS=OURS: a name of the data set, that of an output.'
)
_OUTPUT_DIR = flags.DEFINE_string(
  'output_dir',
  '',
  "Folder of the results, and of --images as prepared (default: the run's).",
)
_PARQUET = flags.DEFINE_string(
  'parquet', '', 'A file, .parquet, to write the scores to as well.'
)
_DATA = flags.DEFINE_string(
  'data',
  '',
  "Another site's raw images, with labels, in any shape that study.py takes.",
)
_TABLE = flags.DEFINE_string(
  'table', None, "Another site's raw images: a CSV of paths and labels."
)
_IMAGES = flags.DEFINE_string(
  'images', None, 'Where its paths start; or a folder for each class.'
)
_ON_BAD = flags.DEFINE_enum(
  'on_bad', 'fail', ['fail', 'skip'], 'What to do about bad images.'
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
# How pictures are cut, and which are tested, is not for the table to say.
_NOT_OF_SITES = {'fundus', 'test_list', 'test_csv'}
_TABLE_FLAGS = [f for f in table_flags.ALL if f.name not in _NOT_OF_SITES]
for _flag in _TABLE_FLAGS:
  flags.declare_key_flag(_flag.name)
_GROUPS = dict.fromkeys(
  [flag.name for flag in (_DATA, _TABLE, _IMAGES, _ON_BAD, *_TABLE_FLAGS)],
  "Another site's raw images",
)


def _check_flags():
  """Raise InputError for flags that would mean nothing."""
  from transfusion_tf import errors
  from transfusion_tf import parquet_file

  if _PARQUET.value:
    parquet_file.check(_PARQUET.value, 'parquet')
  given = [flag.name for flag in table_flags.ALL if flag.present]
  for name in given:
    if name in _NOT_OF_SITES:
      raise errors.InputError(
        f'--{name} is for preparing a set to train on: the pictures of another '
        'site are prepared as those of the training were, and all are tested '
        'but for --split_column'
      )
  if given and not (_DATA.value or _IMAGES.value):
    raise errors.InputError(
      f'--{given[0]} is for raw images: name them with --data'
    )


def main(_) -> None:
  _check_flags()
  startup.import_tensorflow()
  from transfusion_tf import errors
  from transfusion_tf.cli import evaluate_ensemble
  from transfusion_tf.run import ensemble

  named = checkpoint_flags.named_all()
  if len(named) > 1:
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
  dataset, changes = _data(named[0][0])
  if len(named) == 1:
    _evaluate_run(*named[0], dataset, changes)
    return
  run = ensemble.load_run(named, dataset, _CLASS_MAP.value, **changes)
  scores = evaluate_ensemble.evaluate(
    run,
    _split(run.source.prepared),
    _OUTPUT_DIR.value,
    operating_flags.targets(),
  )
  _write_parquet(scores)


def _data(run_dir):
  """Return the name of another data set, if any, and where it is.

  A table of raw images is prepared first.
  """
  from transfusion_tf import errors
  from transfusion_tf import label_map
  from transfusion_tf import run_folder
  from transfusion_tf.cli import own_images
  from transfusion_tf.run import build as run_lib
  from transfusion_tf.run import scores as scores_lib

  changes = checkpoint_flags.runtime_changes()
  if _TABLE.value and not _IMAGES.value:
    raise errors.InputError('--table: say with --images where its paths start')
  if not (_DATA.value or _IMAGES.value):
    return _DATASET.value, changes
  raw = '--data is' if _DATA.value else '--images are'
  if _DATASET.value or changes:
    raise errors.InputError(
      f'{raw} raw, --dataset and --data_dir prepared: give one of them'
    )
  if not _OUTPUT_DIR.value:
    raise errors.InputError(
      f'{raw} prepared first: say with --output_dir where to'
    )
  data_dir = os.path.join(_OUTPUT_DIR.value, 'data')
  experiment = run_lib.load_config(run_dir)
  form = scores_lib.stored_form(run_dir, experiment)
  task = run_folder.task(run_dir, experiment.data)

  def check_names(name, kind, names):
    if task:
      class_map = label_map.parse(_CLASS_MAP.value, names, task.names)
      label_map.match(task.kind, task.names, kind, names, name, class_map)

  dataset = own_images.prepare_other_site(
    data_dir,
    own_images.given(_DATA.value, _TABLE.value, _IMAGES.value, data_dir),
    form.kind,
    form.side,
    _ON_BAD.value == 'fail',
    check_names,
  )
  return dataset, {'data_dir': data_dir}


def _split(prepared):
  """Return the split to score: validation where `test` has no labels.

  Raises:
    InputError: It is `test`, asked for by name.
  """
  from transfusion_tf import errors
  from transfusion_tf.input_pipeline import label_counts
  from transfusion_tf.input_pipeline import tfds_folder

  split = _SPLIT.value
  reason = label_counts.untested(prepared)
  able = tfds_folder.VALIDATION in prepared.splits
  if split != tfds_folder.TEST or not reason or not able:
    return split
  if _SPLIT.present:
    raise errors.InputError(f'--split={split}: {reason}')
  print(f'note: {reason}')
  return tfds_folder.VALIDATION


def _evaluate_run(run_dir, checkpoint, dataset, changes):
  from transfusion_tf import run_folder
  from transfusion_tf.cli import evaluation_text
  from transfusion_tf.run import build as run_lib
  from transfusion_tf.run import scores as scores_lib
  from transfusion_tf.study import external

  folder, targets = _OUTPUT_DIR.value, operating_flags.targets()
  run = run_lib.load_run(
    run_dir, checkpoint, dataset, _CLASS_MAP.value, **changes
  )
  split = _split(run.source.prepared)
  is_own = scores_lib.is_training_data(run, run_dir)
  for note in evaluation_text.notes(run, split, is_own):
    print(note)
  scores, summaries = run_lib.evaluate(run, split)
  validation, lacking = scores_lib.validation(run, run_dir, split, checkpoint)
  stored = None
  if _STORE_POINTS.value or _CALIBRATE.value:
    stored = scores_lib.store_decisions(
      run, run_dir, checkpoint, targets, _CALIBRATE.value, validation
    )
  thresholds, points = (), []
  if validation is not None:
    thresholds = scores_lib.choose(validation, targets)
    points = scores_lib.judge(thresholds, scores)
  compared = None
  if not is_own:
    compared = external.of_run(
      run,
      run_dir,
      run_folder.checkpoint_step(run_dir, checkpoint),
      split,
      scores,
      thresholds,
      lacking,
    )
  path = scores_lib.write(
    run,
    run_dir,
    split,
    checkpoint,
    scores,
    summaries,
    points,
    folder,
    compared.record() if compared else {},
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
  for line in evaluation_text.files(path, scores, compared):
    print(line)
  _write_parquet(scores)


def _write_parquet(scores):
  from transfusion_tf import parquet_file

  if _PARQUET.value:
    parquet_file.write(_PARQUET.value, scores)
    print(f'the same as Parquet: {_PARQUET.value}')


def run() -> None:
  """Run the command."""
  app.run(main, _GROUPS)

r"""Scores a split with a checkpoint: metrics with intervals, scores as CSV.

  python bin/evaluate.py --run_dir=RUN --checkpoint=best --split=test

Another site's data set is scored by --data_dir and --dataset. Its classes or
findings are matched with the outputs by name; where it has other names,
--class_map says which is which:

  python bin/evaluate.py --run_dir=RUN --data_dir=DATA --dataset=elsewhere \
    --class_map=abnormal=malignant,normal=benign
"""

from absl import flags

from transfusion_tf import startup
from transfusion_tf.cli import app

_RUN_DIR = flags.DEFINE_string('run_dir', None, 'A folder made by train.py.')
_CHECKPOINT = flags.DEFINE_string(
  'checkpoint', 'best', 'final, init, best or a step.'
)
_SPLIT = flags.DEFINE_string('split', 'test', 'Split of the data set.')
_DATA_DIR = flags.DEFINE_string(
  'data_dir', None, 'Where the data lie, if not where they were in training.'
)
_DATASET = flags.DEFINE_string(
  'dataset', '', 'Another prepared data set than the one of training.'
)
_CLASS_MAP = flags.DEFINE_list(
  'class_map', [], 'THEIRS=OURS: a name of the data set, that of an output.'
)


def main(_) -> None:
  startup.import_tensorflow()
  from transfusion_tf import metrics
  from transfusion_tf.run import build as run_lib
  from transfusion_tf.run import scores as scores_lib

  run_dir, split, which = _RUN_DIR.value, _SPLIT.value, _CHECKPOINT.value
  changes = {'data_dir': _DATA_DIR.value} if _DATA_DIR.value else {}
  run = run_lib.load_run(
    run_dir, which, _DATASET.value, _CLASS_MAP.value, **changes
  )
  if not scores_lib.is_training_data(run, run_dir):
    for note in run.source.label_map.notes(run.source.prepared.name):
      print(f'note: {note}')
  scores, found = run_lib.evaluate(run, split)
  path = scores_lib.write(run, run_dir, split, which, scores, found)
  for name, metric in found.items():
    print(f'{split} {name} {metrics.text(metric)}')
  print(f'{len(scores)} images; scores: {path}')


def run() -> None:
  """Run the command."""
  flags.mark_flag_as_required('run_dir')
  app.run(main)

r"""Scores a split with a checkpoint: metrics with intervals, scores as CSV.

  python bin/evaluate.py --run_dir=RUN --checkpoint=best --split=test

Another site's data set is scored by --data_dir and --dataset. Its classes or
findings are matched with the outputs by name; where it has other names,
--class_map says which is which:

  python bin/evaluate.py --run_dir=RUN --data_dir=DATA --dataset=elsewhere \
    --class_map=abnormal=malignant,normal=benign
"""

from absl import flags

import cli

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
  cli.import_tensorflow()
  from transfusion_tf import experiment
  from transfusion_tf import score_files
  from transfusion_tf.train import metrics

  run_dir, split, which = _RUN_DIR.value, _SPLIT.value, _CHECKPOINT.value
  changes = {'data_dir': _DATA_DIR.value} if _DATA_DIR.value else {}
  run = experiment.load_run(
    run_dir, which, _DATASET.value, _CLASS_MAP.value, **changes
  )
  for note in run.source.label_map.notes(run.source.prepared.name):
    print(f'note: {note}')
  scores, found = experiment.evaluate(run, split)
  path = score_files.write(run, run_dir, split, which, scores, found)
  for name, metric in found.items():
    print(f'{split} {name} {metrics.text(metric)}')
  print(f'{len(scores)} images; scores: {path}')


if __name__ == '__main__':
  flags.mark_flag_as_required('run_dir')
  cli.run(main)

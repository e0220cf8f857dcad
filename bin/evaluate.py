r"""Scores a split with a checkpoint: metrics with intervals, scores as CSV.

python bin/evaluate.py --run_dir=RUN --checkpoint=best --split=test
"""

import os

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


def main(_) -> None:
  cli.import_tensorflow()
  from transfusion_tf import experiment

  run_dir, split, which = _RUN_DIR.value, _SPLIT.value, _CHECKPOINT.value
  changes = {'data_dir': _DATA_DIR.value} if _DATA_DIR.value else {}
  run = experiment.load_run(run_dir, which, **changes)
  scores, found = experiment.evaluate(run, split)
  path = os.path.join(run_dir, f'scores_{split}_{which}.csv')
  scores.to_csv(path, index=False)
  for name, metric in found.items():
    print(
      f'{split} {name} {metric["value"]:.4f} '
      f'(95 % interval {metric["low"]:.4f} to {metric["high"]:.4f})'
    )
  print(f'{len(scores)} images; scores: {path}')


if __name__ == '__main__':
  flags.mark_flag_as_required('run_dir')
  cli.run(main)

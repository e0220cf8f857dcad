r"""Makes a table or figure: runs what it needs and is missing, then draws it.

  python bin/reproduce.py --target=quickstart --scale=demo --data_dir=DATA \
    --output_dir=STUDY

Run folders lie below --output_dir; finished runs are not run again, stopped
ones go on. --list only tells which runs a target needs.
"""

import os

from absl import flags

import cli
from transfusion_tf import errors

_TARGET = flags.DEFINE_list('target', None, 'What to make.')
_SCALE = flags.DEFINE_string('scale', 'demo', 'demo or paper.')
_DATA_DIR = flags.DEFINE_string('data_dir', None, 'Prepared data sets.')
_OUTPUT_DIR = flags.DEFINE_string('output_dir', None, 'Folder of the study.')
_LIST = flags.DEFINE_bool('list', False, 'Tell the runs and do nothing.')


def main(_) -> None:
  from transfusion_tf.paper import runs

  plans = runs.plans(_TARGET.value, _SCALE.value)
  if _LIST.value:
    for plan in plans:
      print(plan.key)
    return
  output_dir = _OUTPUT_DIR.value
  if not output_dir or not _DATA_DIR.value:
    raise errors.InputError('--data_dir and --output_dir are needed to run')
  cli.import_tensorflow()
  _run(plans, output_dir)
  from transfusion_tf.paper import quickstart

  print(f'\n{quickstart.write(plans, output_dir)}\n')
  print(f'Report: {os.path.join(output_dir, "report.html")}')


def _run(plans, output_dir):
  import keras

  from transfusion_tf import launch

  for number, plan in enumerate(plans, start=1):
    print(f'== Run {number} of {len(plans)}: {plan.key}', flush=True)
    keras.backend.clear_session()
    launch.run(
      plan.at(output_dir, _DATA_DIR.value), os.path.join(output_dir, plan.key)
    )


if __name__ == '__main__':
  flags.mark_flag_as_required('target')
  cli.run(main)

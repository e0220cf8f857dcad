r"""Makes a trained network a folder that needs nothing of this project.

  python bin/export.py --run_dir=RUN --checkpoint=best --export_dir=DIR

DIR is a SavedModel that takes JPEG and PNG files, as the camera wrote them
(`serve`) or as prepare_data.py stored them (`serve_prepared`); with
model.keras, to train on, and model_card.md, which tells how to use it.
"""

from absl import flags

from transfusion_tf import startup
from transfusion_tf.cli import app

_RUN_DIR = flags.DEFINE_string('run_dir', None, 'A folder made by train.py.')
_CHECKPOINT = flags.DEFINE_string(
  'checkpoint', 'best', 'final, init, best or a step.'
)
_EXPORT_DIR = flags.DEFINE_string('export_dir', None, 'Folder to make.')
_DATA_DIR = flags.DEFINE_string(
  'data_dir', None, 'Where the data lie, if not where they were in training.'
)
_LAYERS = flags.DEFINE_list(
  'layers', [], 'Stages or layers of `activations` (default: all stages).'
)
_TFLITE = flags.DEFINE_bool('tflite', False, 'Write model.tflite, too.')
_OVERWRITE = flags.DEFINE_bool('overwrite', False, 'Replace an earlier export.')


def main(_) -> None:
  startup.import_tensorflow()
  from transfusion_tf import export
  from transfusion_tf import run_folder
  from transfusion_tf.run import build as run_lib

  run_dir, which = _RUN_DIR.value, _CHECKPOINT.value
  changes = {'data_dir': _DATA_DIR.value} if _DATA_DIR.value else {}
  run = run_lib.load_run(run_dir, which, strategy='one_device', **changes)
  exported = export.export(
    run,
    _EXPORT_DIR.value,
    run_dir=run_dir,
    step=run_folder.checkpoint_step(run_dir, which),
    layers=_LAYERS.value,
    tflite=_TFLITE.value,
    overwrite=_OVERWRITE.value,
  )
  for note in exported.notes:
    print(f'note: {note}')
  for name, difference in exported.differences.items():
    print(
      f'{name}: probabilities within {difference:.2g} of the run on '
      f'{exported.num_checked} images'
    )
  print(f'Written: {exported.directory}')


def run() -> None:
  """Run the command."""
  flags.mark_flags_as_required(['run_dir', 'export_dir'])
  app.run(main)

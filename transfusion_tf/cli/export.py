r"""Makes a trained network a folder that needs nothing of this project.

  python bin/export.py --run_dir=RUN@best --export_dir=DIR

DIR is a SavedModel that takes JPEG and PNG files, as the camera wrote them
(`serve`) or as prepare_data.py stored them (`serve_prepared`); with
model.keras, to train on, and model_card.md, which tells how to use it.
"""

from absl import flags

from transfusion_tf import startup
from transfusion_tf.cli import app
from transfusion_tf.cli import checkpoint_flags

checkpoint_flags.define(__name__, checkpoint='best')
_EXPORT_DIR = flags.DEFINE_string(
  'export_dir', None, 'Folder to make.', required=True
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

  run_dir, checkpoint = checkpoint_flags.named()
  changes = checkpoint_flags.runtime_changes() | {'strategy': 'one_device'}
  run = run_lib.load_run(run_dir, checkpoint, **changes)
  exported = export.export(
    run,
    _EXPORT_DIR.value,
    run_dir=run_dir,
    step=run_folder.checkpoint_step(run_dir, checkpoint),
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
  app.run(main)

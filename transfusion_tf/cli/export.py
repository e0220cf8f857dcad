r"""Makes a trained network a folder that needs nothing of this project.

  python bin/export.py --run_dir=RUN@best --export_dir=DIR
  python bin/export.py --run_dir=A,B,C --export_dir=DIR

Several runs make one network, the mean of their probabilities. DIR is a
SavedModel that takes JPEG and PNG files, as the camera wrote them (`serve`) or
as prepare_data.py stored them (`serve_prepared`); with model.keras, to train
on, and model_card.md, which tells how to use it.
"""

from absl import flags

from transfusion_tf import errors
from transfusion_tf import startup
from transfusion_tf.cli import app
from transfusion_tf.cli import checkpoint_flags

checkpoint_flags.define(__name__, checkpoint='best', several=True)
_EXPORT_DIR = flags.DEFINE_string(
  'export_dir', None, 'Folder to make.', required=True
)
_LAYERS = flags.DEFINE_list(
  'layers', [], 'Stages or layers of `activations` (default: all stages).'
)
_RUNTIMES = [
  flags.DEFINE_bool(name, False, f'Write {what}, too.')
  for name, what in (
    ('onnx', "model.onnx, with pip install -e '.[onnx]'"),
    ('openvino', "model.xml of OpenVINO, with pip install -e '.[openvino]'"),
    ('tflite', 'model.tflite of LiteRT (TensorFlow Lite)'),
    ('tflite_int8', 'model_int8.tflite, in 8 bits, by training images'),
  )
]
_CHECK_IMAGES = flags.DEFINE_integer(
  'check_images',
  200,
  'Test images on which each file is compared with the run; 0 takes all.',
  lower_bound=0,
)
_VERSION = flags.DEFINE_string(
  'version',
  '',
  'Make EXPORT_DIR/N, a folder a version as TF Serving has them: N, or next.',
)
_OVERWRITE = flags.DEFINE_bool('overwrite', False, 'Replace an earlier export.')
_ABOUT = {
  name: flags.DEFINE_string(name, '', f'For the model card: {what}.')
  for name, what in (
    ('license', 'an identifier as apache-2.0, or a name'),
    ('owner', 'who answers for the network'),
    ('citation', 'how to cite it, also as BibTeX'),
    ('intended_use', 'what it is meant for'),
  )
}


def main(_) -> None:
  startup.import_tensorflow()
  from transfusion_tf import export

  export_dir = _export_dir()
  named = checkpoint_flags.named_all()
  changes = checkpoint_flags.runtime_changes() | {'strategy': 'one_device'}
  run, record = _loaded(named, changes)
  exported = export.export(
    run,
    export_dir,
    record=record,
    layers=_LAYERS.value,
    runtimes=[flag.name for flag in _RUNTIMES if flag.value],
    about=export.About(**{name: f.value for name, f in _ABOUT.items()}),
    num_checked=_CHECK_IMAGES.value,
    overwrite=_OVERWRITE.value,
  )
  for note in exported.notes:
    print(f'note: {note}')
  rows = dict(exported.agreements)
  if exported.in_training:
    rows[f'{run.network.precision} of the training'] = exported.in_training
  in_float32 = ' in float32' if exported.in_training else ''
  for name, agreement in rows.items():
    print(
      f'{name}: probabilities within {agreement.difference:.2g} of the run'
      f'{in_float32} on {exported.num_checked} images, {run.primary_metric} '
      f'{agreement.score_text}'
    )
  print(f'Written: {exported.directory}')


def _export_dir():
  """Return the folder to make: of a version, if one is asked for."""
  from transfusion_tf.export.serving import versions

  if not _VERSION.value:
    return _EXPORT_DIR.value
  if _OVERWRITE.value:
    raise errors.InputError(
      '--overwrite replaces no version, as servers do not load one twice; '
      f'--version={versions.NEXT} adds one'
    )
  return versions.folder(_EXPORT_DIR.value, _VERSION.value)


def _loaded(named, changes):
  """Return the run, or the ensemble, and what is known of it."""
  from transfusion_tf import run_folder
  from transfusion_tf.run import build as run_lib
  from transfusion_tf.run import ensemble
  from transfusion_tf.run import record as record_lib

  if len(named) > 1:
    together = ensemble.load_run(named, **changes)
    return together, record_lib.of_ensemble(together)
  run_dir, checkpoint = named[0]
  run = run_lib.load_run(run_dir, checkpoint, **changes)
  step = run_folder.checkpoint_step(run_dir, checkpoint)
  return run, record_lib.of_run(run_dir, step)


def run() -> None:
  """Run the command."""
  app.run(main)

r"""Writes a network's activations to disk: one .npy a layer, and a manifest.

  python bin/extract_activations.py --run_dir=RUN --layers=conv1,block1 \
    --num_images=100 --output=ACTIVATIONS

The same command goes on where it was stopped.
"""

from absl import flags

from transfusion_tf import startup
from transfusion_tf.cli import app

_RUN_DIR = flags.DEFINE_string('run_dir', None, 'A folder made by train.py.')
_CHECKPOINT = flags.DEFINE_string(
  'checkpoint', 'final', 'final, init, best or a step.'
)
_LAYERS = flags.DEFINE_list(
  'layers', [], 'Stages or layers (default: all stages but the head).'
)
_SPLIT = flags.DEFINE_string('split', 'test', 'Split of the data set.')
_NUM_IMAGES = flags.DEFINE_integer(
  'num_images', 0, 'The first so many of the split; 0: all.', lower_bound=0
)
_DTYPE = flags.DEFINE_string('dtype', 'float32', 'float16 or float32.')
_DATA_DIR = flags.DEFINE_string(
  'data_dir', None, 'Where the data lie, if not where they were in training.'
)
_OUTPUT = flags.DEFINE_string('output', None, 'Folder to make.')


def main(_) -> None:
  startup.import_tensorflow()
  from transfusion_tf.analysis import compare_runs

  changes = {'data_dir': _DATA_DIR.value} if _DATA_DIR.value else {}
  manifest = compare_runs.extract(
    f'{_RUN_DIR.value}@{_CHECKPOINT.value}',
    _OUTPUT.value,
    _LAYERS.value,
    _SPLIT.value,
    _NUM_IMAGES.value,
    _DTYPE.value,
    **changes,
  )
  for layer, file in manifest.layers.items():
    print(f'{layer:20} {"x".join(map(str, file.shape))} {file.dtype}')
  print(f'Written: {_OUTPUT.value}')


def run() -> None:
  """Run the command."""
  flags.mark_flags_as_required(['run_dir', 'output'])
  app.run(main)

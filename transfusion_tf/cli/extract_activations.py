r"""Writes a network's activations to disk: one .npy a layer, and a manifest.

  python bin/extract_activations.py --run_dir=RUN --layers=conv1,block1 \
    --num_images=100 --output=ACTIVATIONS

The same command continues where it was stopped.
"""

from absl import flags

from transfusion_tf import startup
from transfusion_tf.cli import app
from transfusion_tf.cli import checkpoint_flags

checkpoint_flags.define(__name__, checkpoint='final')
_LAYERS = flags.DEFINE_list(
  'layers', [], 'Stages or layers (default: all stages but the head).'
)
_SPLIT = flags.DEFINE_string('split', 'test', 'Split of the data set.')
_NUM_IMAGES = flags.DEFINE_integer(
  'num_images',
  0,
  'How many of the split, from its first; 0: all.',
  lower_bound=0,
)
_DTYPE = flags.DEFINE_string('dtype', 'float32', 'float16 or float32.')
_OUTPUT = flags.DEFINE_string('output', None, 'Folder to make.', required=True)


def main(_) -> None:
  startup.import_tensorflow()
  from transfusion_tf.analysis import compare_runs

  manifest = compare_runs.extract(
    '@'.join(checkpoint_flags.named()),
    _OUTPUT.value,
    _LAYERS.value,
    _SPLIT.value,
    _NUM_IMAGES.value,
    _DTYPE.value,
    **checkpoint_flags.runtime_changes(),
  )
  for layer, file in manifest.layers.items():
    print(f'{layer:20} {"x".join(map(str, file.shape))} {file.dtype}')
  print(f'Written: {_OUTPUT.value}')


def run() -> None:
  """Run the command."""
  app.run(main)

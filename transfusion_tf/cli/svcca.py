r"""How alike two networks are, layer by layer: (SV)CCA as in Appendix C.

  python bin/svcca.py --a=RUN@init --b=RUN --layers=conv1,block1

Two folders that extract_activations.py made do as well as two runs. Beside
every figure stands the noise floor: what unrelated networks would show.
"""

import dataclasses
import json
import os

from absl import flags

from transfusion_tf import errors
from transfusion_tf import startup
from transfusion_tf import storage
from transfusion_tf.cli import app

flags.DEFINE_string(
  'a',
  None,
  'RUN or RUN@CHECKPOINT (final, best, init or a step), or a folder of '
  'activations.',
)
flags.DEFINE_string('b', None, 'What to compare it with.')
flags.DEFINE_list(
  'layers', [], 'Stages or layers (default: all stages but the head).'
)
flags.DEFINE_integer('num_patches', 20_000, 'p, of each layer.')
flags.DEFINE_integer('num_channels', 64, 'd, of each layer.')
flags.DEFINE_integer('repeats', 5, 'Samples of channels and images.')
flags.DEFINE_integer(
  'num_images', 0, 'n; 0: the fewest that hold p patches.', lower_bound=0
)
flags.DEFINE_float(
  'svd_variance', None, "Share that SVCCA's SVD step keeps.", 0, 1
)
flags.DEFINE_integer('seed', 0, 'Of the samples.', lower_bound=0)
flags.DEFINE_string('split', 'test', "Split of the runs' data set.")
flags.DEFINE_string(
  'data_dir', None, 'Where the data lie, if not where they were in training.'
)
flags.DEFINE_string(
  'output', 'svcca.json', 'File to write: per layer, all there is to know.'
)


def main(_) -> None:
  startup.import_tensorflow()
  from transfusion_tf.analysis import cca
  from transfusion_tf.analysis import manifest
  from transfusion_tf.analysis import sampling

  values = flags.FLAGS
  folder = os.path.dirname(os.path.abspath(values.output))
  if not os.path.isdir(folder):
    raise errors.InputError(f'{folder}: no such folder to write --output to')
  sample = sampling.Sampling(
    values.num_patches,
    values.num_channels,
    values.repeats,
    values.num_images,
    values.seed,
  )
  options = cca.Options(svd_variance=values.svd_variance)
  stored = manifest.exists(values.a) or manifest.exists(values.b)
  result = (_of_folders if stored else _of_runs)(values, sample, options)
  print(f'{"layer":20} {"mean":>7} {"± sd":>7} {"plain":>7} {"floor":>7}')
  for layer, found in result.items():
    row = found.to_json()
    print(
      f'{layer:20} {row["mean"]:7.4f} {row["mean_std"]:7.4f} '
      f'{row["plain_mean"]:7.4f} {row["noise_floor"]["mean"]:7.4f}'
    )
  _write(values, sample, options, result)
  print(f'Written: {values.output}')


def _of_folders(values, sample, options):
  from transfusion_tf.analysis import compare_runs

  return compare_runs.compare_folders(
    values.a, values.b, values.layers, sample, options
  )


def _of_runs(values, sample, options):
  from transfusion_tf.analysis import compare_runs

  pair = values.a, values.b
  changes = {'data_dir': values.data_dir} if values.data_dir else {}
  return compare_runs.compare(
    [pair], values.layers, values.split, sample, options, **changes
  )[pair]


def _write(values, sample, options, result):
  record = {
    'a': values.a,
    'b': values.b,
    'sampling': dataclasses.asdict(sample),
    'options': dataclasses.asdict(options),
    'layers': {layer: found.to_json() for layer, found in result.items()},
  }
  with storage.atomic_write(values.output) as file:
    json.dump(record, file, indent=2, allow_nan=False)
    file.write('\n')


def run() -> None:
  """Run the command."""
  flags.mark_flags_as_required(['a', 'b'])
  app.run(main)

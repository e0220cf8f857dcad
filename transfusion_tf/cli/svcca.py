r"""Similarity of two networks, layer by layer: (SV)CCA as in Appendix C, CKA.

  python bin/svcca.py --a=RUN@init --b=RUN --layers=conv1,block1

Two folders that extract_activations.py made are compared in the same way. "low"
and "high" are the 95 % interval of the mean that endlessly many images would
give, which few images overstate: more --num_images make it narrow. The noise
floor is the similarity that unrelated networks would show, in CCA; that of
--unbiased_cka is 0. --output has every measure.
"""

import dataclasses
import os

from absl import flags

from transfusion_tf import errors
from transfusion_tf import startup
from transfusion_tf import storage
from transfusion_tf.cli import app
from transfusion_tf.cli import checkpoint_flags

flags.DEFINE_string(
  'a',
  None,
  'RUN or RUN@CHECKPOINT (final, best, init or a step), or a folder of '
  'activations.',
  required=True,
)
flags.DEFINE_string('b', None, 'What to compare it with.', required=True)
flags.DEFINE_list(
  'layers', [], 'Stages or layers (default: all stages but the head).'
)
flags.DEFINE_integer('num_patches', 20_000, 'p, of each layer.', 1, 10**8)
flags.DEFINE_integer('num_channels', 64, 'd, of each layer.', 1, 2**16)
flags.DEFINE_integer('repeats', 5, 'Samples of channels and images.', 1, 1000)
flags.DEFINE_integer(
  'num_images', 0, 'n; 0: the fewest that hold p patches.', lower_bound=0
)
flags.DEFINE_float(
  'svd_variance', None, "Fraction that SVCCA's SVD step keeps.", 0.01, 1
)
flags.DEFINE_bool(
  'unbiased_cka',
  False,
  'Estimate CKA of the whole layers without bias, too: twice the arithmetic.',
)
flags.DEFINE_integer('seed', 0, 'Of the samples.', lower_bound=0)
flags.DEFINE_string('split', 'test', "Split of the runs' data set.")
checkpoint_flags.define_data_dir(__name__)
flags.DEFINE_string(
  'output', 'svcca.json', 'File to write: per layer, all there is to know.'
)


def main(_) -> None:
  startup.import_tensorflow()
  from transfusion_tf.analysis import cca
  from transfusion_tf.analysis import sampling

  values = flags.FLAGS
  folder = os.path.dirname(values.output) or '.'
  if not storage.is_remote(folder) and not os.path.isdir(folder):
    raise errors.InputError(f'{folder}: no such folder to write --output to')
  sample = sampling.Sampling(
    values.num_patches,
    values.num_channels,
    values.repeats,
    values.num_images,
    values.seed,
  )
  options = cca.Options(
    svd_variance=values.svd_variance, unbiased_cka=values.unbiased_cka
  )
  result = _compare(values, sample, options)
  layers = {layer: value.to_json() for layer, value in result.items()}
  record = {
    'a': values.a,
    'b': values.b,
    'sampling': dataclasses.asdict(sample),
    'options': dataclasses.asdict(options),
    'layers': layers,
  }
  # First of all: whoever reads what is printed may leave early.
  storage.write_json(values.output, record)
  _print(layers)
  for layer, row in layers.items():
    channels = len(row['repeats'][0]['coefficients'])
    if row['num_images'] < channels:
      print(
        f'note: {layer}: {row["num_images"]} images for {channels} channels: '
        'the interval may be too narrow; give more --num_images'
      )
  print(f'Written: {values.output}')


def _print(layers):
  for number, (layer, row) in enumerate(layers.items()):
    interval = row['intervals']['mean'] or dict.fromkeys(('low', 'high'))
    shown = {
      'mean': row['mean'],
      'low': interval['low'],
      'high': interval['high'],
      'plain': row['plain_mean'],
      'floor': row['noise_floor']['mean'],
    }
    if 'cka_layer' in row:
      shown['CKA'] = row['cka_layer']
    if not number:
      print(f'{"layer":20}' + ''.join(f' {head:>7}' for head in shown))
    print(f'{layer:20} ' + ' '.join(map(_figure, shown.values())))


def _figure(value):
  return f'{"-":>7}' if value is None else f'{value:7.4f}'


def _compare(values, sample, options):
  """Compare two folders of activations, or two runs."""
  from transfusion_tf.analysis import compare_runs
  from transfusion_tf.analysis import manifest

  pair = values.a, values.b
  if any(map(manifest.exists, pair)):
    return compare_runs.compare_folders(*pair, values.layers, sample, options)
  return compare_runs.compare(
    [pair],
    values.layers,
    values.split,
    sample,
    options,
    **checkpoint_flags.runtime_changes(),
  )[pair]


def run() -> None:
  """Run the command."""
  app.run(main)

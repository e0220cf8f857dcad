"""Figures that no rearrangement of the code may change, made by the binaries.

python golden.py BIN OUT NETWORK START... writes OUT/NETWORK.json: hashes of
data, of weights after 20 deterministic steps from each of STARTS that is named
(random must be), of similarities and of what an export answers, with numbers
beside them for other processors.

The flags and the files are those of the first release, which made the figures
in vectors/golden_NETWORK.json.
"""

import atexit
import glob
import hashlib
import json
import os
import pathlib
import runpy
import sys

# All imports that take long: each binary then runs in a fork of this process.
import keras  # noqa: F401
import numpy as np
import pandas as pd  # noqa: F401
import tensorflow as tf
import tensorflow_datasets as tfds  # noqa: F401

# name -> flags beside those of all runs.
STARTS = {
  'random': (),
  'transfer': (),
  'mean_var': (),
  'sampling': (),
  'shuffled': (),
  'mean_var-bn': ('--init=mean_var', '--bn_init=mean_var'),
  'transfer-bn': ('--init=mean_var', '--bn_init=transfer'),
  'gabor': ('--init=transfer', '--conv1=gabor'),
  'transfusion': ('--init=transfer', '--upto=SECOND'),
  'frozen': ('--init=transfer', '--freeze_upto=SECOND'),
  'slim': ('--init=transfer', '--upto=SECOND', '--slim_from=THIRD'),
}
_STAGES = {
  'cbr_tiny': {'SECOND': 'conv2', 'THIRD': 'conv3'},
  'resnet50': {'SECOND': 'block1', 'THIRD': 'block2'},
}
_RUN = (
  *('--image_size=32', '--batch_size=8', '--train_steps=20'),
  *('--eval_every=20', '--eval_batch_size=20', '--deterministic'),
  *('--seed=3', '--nopictures', '--patience=0', '--strategy=one_device'),
)


class Chain:
  """Runs binaries in a folder."""

  def __init__(self, bin_dir, out, network):
    self._bin = pathlib.Path(bin_dir)
    self.out = pathlib.Path(out)
    self.network = network

  def run(self, name, *arguments):
    child = os.fork()
    if not child:
      self._become(name, arguments)
    _, status = os.waitpid(child, 0)
    if status:
      raise SystemExit(f'{name} {" ".join(arguments)} failed')

  def _become(self, name, arguments):
    code = 1
    try:
      os.chdir(self.out)
      log = os.open(self.out / f'{name}.log', os.O_CREAT | os.O_WRONLY)
      os.dup2(log, 1)
      os.dup2(log, 2)
      sys.argv = [str(self._bin / f'{name}.py'), *arguments]
      sys.path.insert(0, str(self._bin))
      runpy.run_path(sys.argv[0], run_name='__main__')
      code = 0
    except SystemExit as end:
      code = end.code or 0
    finally:
      atexit._run_exitfuncs()  # Ends the processes that the binary started.
      sys.stdout.flush()
      os._exit(code if isinstance(code, int) else 1)

  def train(self, dataset, run, *flags):
    self.run(
      'train',
      *(f'--dataset={dataset}', '--data_dir=data', '--recipe=demo_retina'),
      *(f'--model={self.network}', f'--run_dir=runs/{run}', *_RUN, *flags),
    )


def main(bin_dir, out, network, *starts):
  chain = Chain(bin_dir, out, network)
  chain.out.mkdir(parents=True, exist_ok=True)
  _run(chain, starts)
  # Nothing before this line computes in this process: a fork that inherits
  # TensorFlow's threads cannot choose their number.
  facts = {
    'processor': processor(),
    'data': _data(chain),
    'weights': {name: _weights(chain.out / 'runs' / name) for name in starts},
    'svcca': _svcca(chain),
    'export': _export(chain),
  }
  path = chain.out / f'{network}.json'
  path.write_text(json.dumps(facts, indent=1) + '\n')


def _run(chain, starts):
  chain.run('make_demo_data', '--raw_dir=raw', '--num_patients=30')
  for name, flags in (
    ('retina', ('--dataset=retina', '--image_size=32')),
    ('chexpert', ('--dataset=chexpert', '--image_size=32')),
    ('natural', ('--dataset=image_table', '--name=natural')),
  ):
    chain.run(
      *('prepare_data', f'--manual_dir=raw/{name}', '--data_dir=data'),
      *('--num_processes=1', *flags),
    )
  if set(starts) > {'random'}:
    chain.train('natural', 'source', '--recipe=demo_natural')
  for name in starts:
    flags = STARTS[name] or (f'--init={name}',)
    for word, stage in _STAGES[chain.network].items():
      flags = tuple(flag.replace(word, stage) for flag in flags)
    if name != 'random':
      flags += ('--pretrained=runs/source',)
    chain.train('retina', name, *flags)
  chain.run(
    *('svcca', '--a=runs/random@init', '--b=runs/random@final'),
    *('--num_patches=400', '--num_channels=8', '--repeats=2'),
    f'--layers=conv1,{_STAGES[chain.network]["SECOND"]}',
    *('--data_dir=data', '--output=svcca.json'),
  )
  chain.run('export', '--run_dir=runs/random', '--export_dir=export')


def processor() -> str:
  """What rounding depends on: TensorFlow's version and the instructions."""
  flags = ''
  if os.path.exists('/proc/cpuinfo'):
    lines = pathlib.Path('/proc/cpuinfo').read_text().splitlines()
    names = [x for x in lines if x.startswith(('flags', 'model', 'vendor'))]
    flags = '\n'.join(sorted(set(names)))
  digest = hashlib.sha256(flags.encode()).hexdigest()[:16]
  return f'tensorflow {tf.__version__}, processor {digest}'


def _data(chain):
  """SHA-256 of each split's examples, whatever the order of their features."""
  pattern = str(chain.out / 'data' / '**' / '*tfrecord*')
  return {
    os.path.basename(path): _hash(*map(_example, tf.data.TFRecordDataset(path)))
    for path in sorted(glob.glob(pattern, recursive=True))
  }


def _example(record):
  example = tf.train.Example.FromString(record.numpy())
  return example.SerializeToString(deterministic=True)


def _weights(run_dir):
  """Of the last checkpoint, in the order of the weights' names."""
  (path,) = glob.glob(f'{run_dir}/checkpoints/step-00000020/*.index')
  reader = tf.train.load_checkpoint(path.removesuffix('.index'))
  names = sorted(
    name
    for name in reader.get_variable_to_shape_map()
    if name.startswith('model/') and name.endswith('.ATTRIBUTES/VARIABLE_VALUE')
  )
  return _described([reader.get_tensor(name) for name in names])


def _svcca(chain):
  record = json.loads((chain.out / 'svcca.json').read_text())
  return _described([np.array(list(_numbers(record)))])


def _numbers(record):
  """All numbers of a JSON value, in order."""
  if isinstance(record, dict):
    record = list(record.values())
  if isinstance(record, list):
    for value in record:
      yield from _numbers(value)
  elif isinstance(record, float):
    yield record


def _export(chain):
  network = tf.saved_model.load(str(chain.out / 'export'))
  files = sorted(glob.glob(str(chain.out / 'raw/retina/*/*.jpeg')))[:8]
  found = network.signatures['serve'](
    tf.stack([tf.io.read_file(path) for path in files])
  )
  return _described([found['probabilities'].numpy()])


def _described(arrays):
  flat = np.concatenate([np.ravel(a).astype(float) for a in arrays])
  return {
    'sha256': _hash(*(np.ascontiguousarray(a).tobytes() for a in arrays)),
    'count': int(flat.size),
    'mean': float(flat.mean()),
    'stddev': float(flat.std()),
  }


def _hash(*parts):
  digest = hashlib.sha256()
  for part in parts:
    digest.update(part)
  return digest.hexdigest()


if __name__ == '__main__':
  main(*sys.argv[1:])

"""A chain in one process: prepare, train, evaluate, export; what came out.

python chain.py RAW OUT writes OUT/facts.json.
"""

import hashlib
import json
import pathlib
import sys

import prepared_sets
import raw_sets
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from data.image_table import image_table_dataset_builder
from data.image_table import layout
from transfusion_tf import export
from transfusion_tf import run_folder
from transfusion_tf.run import build as run_lib
from transfusion_tf.run import train_and_evaluate

NAME = 'squares'


def prepare(raw, data_dir, table='findings', **columns):
  """Prepares RAW/TABLE.csv as `squares`."""
  raw = pathlib.Path(raw)
  columns = {'patient': 'patient', **columns}
  builder = image_table_dataset_builder.Builder(
    name=NAME,
    table=layout.find(raw / f'{table}.csv', raw, layout.Columns(**columns)),
    data_dir=str(data_dir),
  )
  builder.num_processes = 1
  builder.build(builder.check(raw))


def experiment(data_dir, **changes):
  """A run of seconds on what `prepare` made."""
  return prepared_sets.experiment(
    data_dir,
    **{
      'data__dataset': NAME,
      'data__image_size': 24,
      'model__name': 'tiny_nets:net',
      'optimizer__learning_rate': 0.01,
      'train__batch_size': 16,
      'train__train_steps': 60,
      'train__eval_every': 20,
      'runtime__eval_batch_size': 16,
    }
    | changes,
  )


def facts(data_dir, run_dir, export_dir):
  """What must not depend on the process."""
  folder = pathlib.Path(data_dir, NAME, '1.0.0')
  run = run_lib.load_run(str(run_dir), 'best', strategy='one_device')
  scores, found = run_lib.evaluate(run, 'test')
  return {
    'records': {
      path.name: _sha256(path.read_bytes())
      for path in sorted(folder.glob('*tfrecord*'))
    },
    'splits': _sha256((folder / 'splits.csv').read_bytes()),
    'outputs': run.task.names,
    'run': {
      name: _sha256(pathlib.Path(run_dir, name).read_bytes())
      for name in (run_folder.METRICS, run_folder.TEST_SCORES)
    },
    'weights': _sha256(
      b''.join(w.numpy().tobytes() for w in run.model.weights)
    ),
    'scores': _sha256(scores.to_csv(index=False).encode()),
    'metrics': {name: metric['value'] for name, metric in found.items()},
    'exported': exported_names(export_dir),
    'signature': _sha256(_signature(export_dir)),
  }


def exported_names(export_dir):
  saved = tf.saved_model.load(str(export_dir))
  return [name.decode() for name in saved.class_names.numpy()]


def _signature(export_dir):
  data = pathlib.Path(export_dir, 'saved_model.pb').read_bytes()
  (graph,) = saved_model_pb2.SavedModel.FromString(data).meta_graphs
  return b''.join(
    graph.signature_def[name].SerializeToString(deterministic=True)
    for name in sorted(graph.signature_def)
  )


def _sha256(data):
  return hashlib.sha256(data).hexdigest()


def main(raw, out):
  data_dir, run_dir, export_dir = out / 'data', out / 'run', out / 'export'
  prepare(raw, data_dir, labels=raw_sets.FINDINGS)
  same_bits = experiment(data_dir, train__deterministic=True)
  train_and_evaluate.run(same_bits, str(run_dir))
  run = run_lib.load_run(str(run_dir), 'best', strategy='one_device')
  export.export(run, export_dir, run_dir=str(run_dir))
  made = facts(data_dir, run_dir, export_dir)
  (out / 'facts.json').write_text(json.dumps(made, indent=1))


if __name__ == '__main__':
  main(*map(pathlib.Path, sys.argv[1:]))

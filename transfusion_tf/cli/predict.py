r"""Scores pictures without labels: a table of probabilities and decisions.

  python bin/predict.py --run_dir=RUN@best --images=FOLDER --output=FILE.csv
  python bin/predict.py --export_dir=DIR --table=LIST.csv --images=FOLDER \
    --output=FILE.parquet

Pictures are a folder or an archive (zip, tar), or a table with a column of
paths (CSV, Parquet, or a .txt of one a line) that start at --images. Every kind
of file that prepare_data.py reads is prepared as it was for the training.

A row is a picture: its id, which is its path as given, a probability for each
output, decisions at the thresholds that are stored with the network, and
whether it could be scored. The same command continues one that was stopped.
"""

import collections
import functools

from absl import flags

from transfusion_tf import startup
from transfusion_tf.cli import app
from transfusion_tf.cli import checkpoint_flags
from transfusion_tf.cli import picture_flags
from transfusion_tf.cli import run_flags

_MACHINE = ('strategy', 'tpu', 'num_virtual_cpus', 'eval_batch_size')

checkpoint_flags.define(
  __name__, checkpoint='best', required=False, several=True
)
_EXPORT_DIR = flags.DEFINE_string(
  'export_dir',
  None,
  'A folder made by export.py, in place of --run_dir; of versions the newest.',
)
_OUTPUT = flags.DEFINE_string(
  'output', None, 'The table to write: .csv or .parquet.', required=True
)
_OVERWRITE = flags.DEFINE_bool(
  'overwrite', False, 'Replace another table of that name.'
)
_NUM_PROCESSES = flags.DEFINE_integer(
  'num_processes', 0, 'That prepare pictures; 0 is one a core.', 0, 256
)
picture_flags.define(__name__)
run_flags.define(__name__, _MACHINE)


def _check_flags():
  from transfusion_tf import errors
  from transfusion_tf.predict import parts

  if bool(flags.FLAGS.run_dir) == bool(_EXPORT_DIR.value):
    raise errors.InputError('give either --run_dir or --export_dir')
  picture_flags.check()
  parts.Table(_OUTPUT.value)  # Its path is right.


def _classifier(export_dir):
  """Return the network of an export, or of --run_dir."""
  from transfusion_tf import config
  from transfusion_tf import errors
  from transfusion_tf.predict import networks
  from transfusion_tf.train import compute

  changes = run_flags.changes(_MACHINE)
  changes = {path.split('.')[1]: value for path, value in changes.items()}
  if export_dir:
    batch_size = changes.pop(
      'eval_batch_size', config.Runtime('').eval_batch_size
    )
    if changes.get('strategy', 'one_device') not in ('auto', 'one_device'):
      raise errors.InputError(
        f'--strategy={changes["strategy"]}: an export runs on one device; give '
        'its run as --run_dir, or divide the list of pictures'
      )
    return networks.from_export(export_dir, batch_size)
  # Not the devices of the training, which may have been of another machine.
  changes = {'strategy': 'auto', 'tpu': '', 'num_virtual_cpus': 0} | changes
  if changes['num_virtual_cpus']:
    compute.split_cpu(changes['num_virtual_cpus'])
  named = checkpoint_flags.named_all()
  changes |= checkpoint_flags.runtime_changes()
  if len(named) > 1:
    return networks.from_runs(named, **changes)
  run_dir, checkpoint = named[0]
  return networks.from_run(run_dir, checkpoint, **changes)


def _notes(pictures, others, description):
  """Yield what a user should know before waiting for the table."""
  from transfusion_tf.run import scores as scores_lib

  if pictures.num_repeated:
    yield (
      f'{pictures.num_repeated:,} rows name a picture again, which gets one row'
    )
  if others:
    kinds = ', '.join(f'{n:,} {kind}' for kind, n in others.most_common(5))
    yield f'{others.total():,} files are no pictures by their names ({kinds})'
  if description.decisions is None and scores_lib.has_thresholds(
    description.task
  ):
    if description.step is None:
      yield 'no thresholds: not all members have scores of the same validation'
    else:
      yield (
        f'no thresholds are stored for step {description.step}: evaluate.py '
        '--store_points stores them'
      )


def main(_) -> None:
  _check_flags()
  app.import_data()
  startup.import_tensorflow()
  from data import unlabelled
  from transfusion_tf import errors
  from transfusion_tf.export.serving import versions
  from transfusion_tf.predict import engine
  from transfusion_tf.predict import pictures as pictures_lib

  others = collections.Counter[str]()
  given, in_order = picture_flags.given(others)
  with pictures_lib.Pictures.kept(given, in_order) as pictures:
    if not len(pictures):
      raise errors.InputError(
        f'{picture_flags.source()}: no pictures are there'
      )
    export_dir = _EXPORT_DIR.value and versions.newest(_EXPORT_DIR.value)
    classifier = _classifier(export_dir)
    description = classifier.description
    for note in _notes(pictures, others, description):
      print(f'note: {note}')
    form = description.form
    prepare = functools.partial(
      unlabelled.prepare,
      preparer=unlabelled.Preparer(form.kind, form.side),
      num_processes=_NUM_PROCESSES.value,
    )
    made_by = {'run_dir': flags.FLAGS.run_dir, 'export_dir': export_dir}
    outcome = engine.predict(
      classifier,
      pictures,
      prepare,
      _OUTPUT.value,
      made_by,
      _OVERWRITE.value,
    )
  ok = outcome.statuses.get(pictures_lib.OK, 0)
  print(f'{ok:,} of {len(pictures):,} pictures scored')
  for status, count in outcome.statuses.items():
    if status != pictures_lib.OK:
      print(f'  {status}: {count:,}')
  print(f'table: {_OUTPUT.value}' + ' (was there)' * outcome.was_complete)


def run() -> None:
  """Run the command."""
  app.run(main)

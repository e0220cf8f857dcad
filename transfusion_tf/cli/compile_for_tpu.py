r"""Compiles a training step for TPUs, without a TPU, and says what it costs.

  python bin/compile_for_tpu.py --model=resnet50 --image_size=587 \
    --batch_size=8 --precision=mixed_bfloat16 --topology=v5e:2x2

The very step of train.py, with augmentation and optimizer, goes through
Google's compiler, in an environment of its own that is made once (0.6 GB). It
prints the arithmetic, the memory traffic and what they take at least (the
roofline), the memory, and the operations that move the most. All of that is
known, in seconds, before machine code is generated, which takes minutes:
--machine_code does that, too.

Flags take several values, separated by commas: all combinations are compiled.
With --output_dir, each is a JSON file; those that exist are not compiled again.
--table renews the table of a page from these files:

  python bin/compile_for_tpu.py --output_dir=CELLS --table=docs/tpu.md
"""

from collections.abc import Iterator
import dataclasses
import itertools
import pathlib

from absl import flags

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import startup
from transfusion_tf import storage
from transfusion_tf import tpu_settings
from transfusion_tf.cli import app
from transfusion_tf.tpu import cells as cells_lib
from transfusion_tf.tpu import chips
from transfusion_tf.tpu import environment
from transfusion_tf.tpu import step_bounds
from transfusion_tf.tpu import table

_MODEL = flags.DEFINE_list('model', [], 'Networks.')
_IMAGE_SIZE = flags.DEFINE_list('image_size', ['587'], 'Sides in pixels.')
_BATCH_SIZE = flags.DEFINE_list('batch_size', ['8'], 'Over all chips.')
_PRECISION = flags.DEFINE_list(
  'precision', ['mixed_bfloat16'], 'float32 or mixed_bfloat16.'
)
_TOPOLOGY = flags.DEFINE_list(
  'topology', ['v5e:2x2'], 'Generation and slice; the memory is of one chip.'
)
_NUM_CHIPS = flags.DEFINE_integer(
  'num_chips', 1, 'Chips that share the batch.', 1, 2**16
)
_STEP = flags.DEFINE_list('step', ['train'], 'train, evaluate.')
_SYNC = flags.DEFINE_bool(
  'sync_batch_norm', False, 'Over the global batch, not that of a chip.'
)
_MACHINE_CODE = flags.DEFINE_bool(
  'machine_code', False, 'Generate the machine code, too: minutes each.'
)
_OUTPUT_DIR = flags.DEFINE_string('output_dir', None, 'Folder of the results.')
_TABLE = flags.DEFINE_string('table', None, 'Page whose table is renewed.')
_ENVIRONMENT = flags.DEFINE_string(
  'environment', None, 'Folder of the compiler (default: in ~/.cache).'
)


def main(_) -> None:
  todo = list(_cells())
  if _OUTPUT_DIR.value:
    todo = [c for c in todo if not _exists(c)]
  if todo and not tpu_settings.has_host_xla():
    raise errors.InputError(
      "this needs TensorFlow's usual wheel: that for TPUs has no XLA of its own"
    )
  if todo:
    python = environment.make(
      _ENVIRONMENT.value or environment.default_directory()
    )
    startup.import_tensorflow()
  for cell in todo:
    cell = _compile(cell, python)
    print(cells_lib.text(cell), flush=True)
    if _OUTPUT_DIR.value:
      cells_lib.save(cell, _OUTPUT_DIR.value)
  if _TABLE.value:
    _write_table(_TABLE.value)


def _cells() -> Iterator[cells_lib.Cell]:
  for topology, size, batch, precision, model, step in itertools.product(
    _TOPOLOGY.value,
    _whole(_IMAGE_SIZE),
    _whole(_BATCH_SIZE),
    _PRECISION.value,
    _MODEL.value,
    _STEP.value,
  ):
    chips.of_topology(topology)
    if batch % _NUM_CHIPS.value:
      raise errors.InputError(
        f'batch_size={batch} does not divide among {_NUM_CHIPS.value} chips'
      )
    yield cells_lib.Cell(
      model,
      size,
      batch,
      precision,
      step,
      topology,
      _NUM_CHIPS.value,
      _SYNC.value,
    )


def _exists(cell):
  return cells_lib.exists(cell, _OUTPUT_DIR.value, _MACHINE_CODE.value)


def _whole(flag):
  try:
    return [int(word) for word in flag.value]
  except ValueError:
    raise errors.InputError(
      f'{flag.name}={",".join(flag.value)}: not whole numbers'
    ) from None


def _compile(cell, python):
  hlo = _hlo(cell)
  try:
    compiled = environment.compile_hlo(
      python, hlo, cell.topology, cell.num_chips, _MACHINE_CODE.value
    )
  except errors.RunError as error:
    return dataclasses.replace(cell, error=str(error))
  return cells_lib.measured(cell, *compiled)


def _hlo(cell):
  """Return the uncompiled program; in --output_dir, it is made once."""
  path = pathlib.Path(
    _OUTPUT_DIR.value or '', 'programs', f'{cell.program_name}.hlo'
  )
  if _OUTPUT_DIR.value and path.exists():
    return path.read_bytes()
  hlo = _traced(cell)
  if _OUTPUT_DIR.value:
    with storage.atomic_write(str(path), 'wb') as file:
      file.write(hlo)
  return hlo


def _traced(cell):
  from transfusion_tf.tpu import programs

  experiment = config.override(
    config.RETINA,
    {
      'model.name': cell.model,
      'data.image_size': cell.image_size,
      'train.batch_size': cell.batch_size,
      'train.precision': cell.precision,
      'train.sync_batch_norm': cell.sync_batch_norm,
    },
  )
  if cell.step == 'train':
    return programs.training_step(experiment, cell.num_chips)
  if cell.step == 'evaluate':
    return programs.evaluation_step(experiment)
  raise errors.unknown('step', cell.step, ('train', 'evaluate'))


def _write_table(page):
  if not _OUTPUT_DIR.value:
    raise errors.InputError('table needs --output_dir')
  text = pathlib.Path(page).read_text(encoding='utf-8')
  cells = list(cells_lib.load(_OUTPUT_DIR.value))
  storage.write_text(page, table.replace(text, cells))
  storage.write_text(str(step_bounds.PATH), step_bounds.text(cells))


def run() -> None:
  """Run the command."""
  app.run(main)

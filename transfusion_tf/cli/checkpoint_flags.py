"""The flags that name a checkpoint of a trained run, and where its data are."""

from absl import flags

from transfusion_tf import errors


def define(
  module: str, checkpoint: str, required: bool = True, several: bool = False
) -> None:
  """Define --run_dir, --checkpoint and --data_dir, as flags of a module.

  Args:
    module: Name of the module.
    checkpoint: The default of --checkpoint.
    required: Whether --run_dir has to be given.
    several: Whether it may name several runs, for `named_all`.
  """
  more = '; A,B,C is the mean of several' if several else ''
  flags.DEFINE_string(
    'run_dir',
    None,
    'RUN[@CHECKPOINT]: a folder made by train.py, and one of its checkpoints'
    f'{more}.',
    required=required,
    module_name=module,
  )
  flags.DEFINE_string(
    'checkpoint',
    checkpoint,
    'final, init, best or a step; or name it after the @ of --run_dir.',
    module_name=module,
  )
  define_data_dir(module)


def define_data_dir(module: str) -> None:
  """Define --data_dir, as a flag of a module."""
  flags.DEFINE_string(
    'data_dir',
    None,
    'Folder of the data, if it is not the one of training.',
    module_name=module,
  )


def named() -> tuple[str, str]:
  """Return the run's folder and the name of the checkpoint.

  Raises:
    InputError: --run_dir and --checkpoint name two checkpoints.
  """
  return _named(flags.FLAGS.run_dir)


def named_all() -> list[tuple[str, str]]:
  """Return folder and checkpoint of each run that --run_dir names.

  Raises:
    InputError: As `named`; or a name is empty.
  """
  from transfusion_tf import run_folder
  from transfusion_tf import storage

  value = flags.FLAGS.run_dir
  if storage.isdir(run_folder.split_checkpoint(value)[0]):
    return [_named(value)]  # Names of folders may have commas.
  names = value.split(',')
  if not all(names):
    raise errors.InputError(
      f'--run_dir={value}: a name between commas is empty'
    )
  return [_named(name) for name in names]


def _named(name):
  from transfusion_tf import run_folder

  values = flags.FLAGS
  run_dir, checkpoint = run_folder.split_checkpoint(name)
  is_given = bool(values['checkpoint'].present)
  if checkpoint and is_given and values.checkpoint != checkpoint:
    raise errors.InputError(
      f'--run_dir={values.run_dir} and --checkpoint={values.checkpoint} name '
      'two checkpoints; give one of them'
    )
  return run_dir, checkpoint or values.checkpoint


def runtime_changes() -> dict[str, str]:
  """Return the changes to a run's `config.Runtime` that --data_dir makes."""
  data_dir = flags.FLAGS.data_dir
  return {'data_dir': data_dir} if data_dir else {}

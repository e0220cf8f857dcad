"""The flags of train.py, one for each field of a config that has one."""

from absl import flags

from transfusion_tf import config
from transfusion_tf import models
from transfusion_tf.cli import help_text
from transfusion_tf.init import schemes

_HEADINGS = {
  'data': 'Data',
  'model': 'Network',
  'init': 'Start',
  'optimizer': 'Optimizer',
  'train': 'Training',
  'seed': 'Training',
  'runtime': 'Machine (may change between two sittings of a run)',
}
# Flag -> heading under which --help lists it.
GROUPS = {'recipe': 'Data'} | {
  flag: _HEADINGS[path.split('.')[0]] for flag, path in config.FLAGS.items()
}


def define(module: str) -> None:
  """Define the flags, as key flags of a module; none has a default."""
  for _, field in config.fields():
    if flag := config.flag_of(field):
      _define(flag, module)


def _define(flag, module):
  said = flag.help.format(
    models=', '.join(models.NAMES), schemes=help_text.either(schemes.names())
  )
  if flag.kind is bool:
    flags.DEFINE_bool(flag.name, None, said, module_name=module)
  elif flag.kind is str:
    flags.DEFINE_string(flag.name, None, said, module_name=module)
  else:
    define = flags.DEFINE_integer if flag.kind is int else flags.DEFINE_float
    define(*(flag.name, None, said, flag.low, flag.high), module_name=module)
  flags.FLAGS.register_key_flag_for_module(module, flags.FLAGS[flag.name])

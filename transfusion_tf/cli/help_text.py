"""The text of --help: the purpose, an example, and a line per flag."""

from collections.abc import Iterable, Mapping
import re
import shutil
import sys
import textwrap

from absl import flags

_NEEDED, _OTHER = 'Needed', 'Flags'
_COLUMN = 28
_KINDS = {'int': 'N', 'float': 'X', 'comma separated list of strings': 'A,B'}
_ALSO = {
  '--flagfile=FILE': 'More flags, a line each.',
  '-v': 'Show what TensorFlow logs, and where an error comes from.',
  '--helpfull': 'The flags of the libraries too.',
}


def either(names: Iterable[str]) -> str:
  """Return `a, b or c`."""
  *others, last = names
  return f'{", ".join(others)} or {last}' if others else last


def text(module: str, groups: Mapping[str, str]) -> str:
  """Return the help of a command.

  Args:
    module: Name of the module that defines its flags.
    groups: Flag -> heading under which it is listed.
  """
  known = flags.FLAGS.get_key_flags_for_module(module)
  headed: dict[str, list[flags.Flag]] = {
    heading: [] for heading in (_NEEDED, *groups.values())
  }
  for flag in known:
    heading = _NEEDED if _is_needed(flag) else groups.get(flag.name, _OTHER)
    headed.setdefault(heading, []).append(flag)
  lines = [(sys.modules[module].__doc__ or '').rstrip(), '']
  for heading, listed in headed.items():
    if listed:
      rows = (_line(_call(flag), _help(flag)) for flag in listed)
      lines += [f'{heading}:', *rows, '']
  lines += ['Everywhere:', *(_line(*pair) for pair in _ALSO.items())]
  return '\n'.join(lines)


def _is_needed(flag):
  return flag.default is None and any(
    'must have a value' in str(validator.message)
    for validator in flag.validators
  )


def _call(flag):
  if flag.boolean:
    return f'--[no]{flag.name}'
  return f'--{flag.name}={_kind(flag)}'


def _kind(flag):
  kind = flag.flag_type()
  if kind in _KINDS:
    return _KINDS[kind]
  if len(choices := '|'.join(_choices(flag))) in range(1, _COLUMN):
    return choices
  return 'DIR' if flag.name.endswith('_dir') else 'TEXT'


def _choices(flag):
  return getattr(flag.parser, 'enum_values', None) or ()


def _help(flag):
  default = flag.default
  text = re.sub(r'^<.*?>: ', '', flag.help)  # The help of enums.
  if len('|'.join(_choices(flag))) >= _COLUMN:
    text += f' One of {", ".join(_choices(flag)[:-1])} or {_choices(flag)[-1]}.'
  if default in (None, '', []) or flag.boolean:
    return text
  shown = ','.join(default) if isinstance(default, list) else default
  return f'{text} [{shown}]'


def _line(call, text):
  width = max(60, shutil.get_terminal_size((100, 24)).columns - 1)
  room = f'  {call}'.ljust(_COLUMN)
  gap = '' if len(room) == _COLUMN else '  '
  return textwrap.fill(
    ' '.join(text.split()),
    width,
    initial_indent=room + gap,
    subsequent_indent=' ' * (_COLUMN + 2),
  )

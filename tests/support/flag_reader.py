"""Reads command lines of one binary, one after another, in one process.

  python flag_reader.py NAME

prints the flags of a binary, then answers each line, a JSON list of arguments,
by how the binary would begin: `code` 2 and `error`, or 0 and the run's config.
`trace` is what no command line may end in.
"""

import contextlib
import dataclasses
import importlib
import io
import json
import sys
import tempfile
import traceback

from absl import app as absl_app
from absl import flags

from transfusion_tf import config
from transfusion_tf import flagfile
from transfusion_tf.cli import app


def _read(command, parse, argv):
  flags.FLAGS.unparse_flags()
  for name in flags.FLAGS:
    flags.FLAGS[name].unparse()
  begun = {}

  def begin(_):
    begun['values'] = {f: flags.FLAGS[f].value for f in _names(command)}
    # Values that reports and records have.
    json.dumps(begun['values'], allow_nan=False, ensure_ascii=False).encode()
    if command.__name__.endswith('.train') and not flags.FLAGS.check_devices:
      begun['config'] = _check_config(command._experiment())
    if command.__name__.endswith('.study') and not flags.FLAGS.list_sources:
      with contextlib.redirect_stdout(io.StringIO()):
        command._check_flags(flags.FLAGS.output_dir or '')

  app._exit_on_input_error(begin, parse(['binary', *argv]))
  return begun


def _check_config(experiment):
  """Save it, and make it again of its file and of its flags."""
  config.check(experiment)
  with tempfile.NamedTemporaryFile('r') as file:
    config.save(experiment, file.name)
    assert config.load(file.name) == experiment
  for text in flagfile.file(experiment, 'run').values():
    assert text.encode()
  return dataclasses.asdict(experiment)


def _names(command):
  known = flags.FLAGS.get_key_flags_for_module(command.__name__)
  return [flag.name for flag in known]


def _describe(command):
  for name in _names(command):
    flag = flags.FLAGS[name]
    parser = flag.parser
    yield {
      'name': name,
      'kind': 'bool' if flag.boolean else flag.flag_type(),
      'choices': list(getattr(parser, 'enum_values', None) or ()),
      'low': getattr(parser, 'lower_bound', None),
      'high': getattr(parser, 'upper_bound', None),
      'needed': flag.default is None,
    }


def _main(name):
  command = importlib.import_module(f'transfusion_tf.cli.{name}')
  begun = {}
  absl_app.run = lambda main, flags_parser: begun.update(parse=flags_parser)
  command.run()
  print(json.dumps(list(_describe(command))), flush=True)
  for line in sys.stdin:
    errors, answer = io.StringIO(), {'code': 0}
    with contextlib.redirect_stderr(errors):
      try:
        answer |= _read(command, begun['parse'], json.loads(line))
      except SystemExit as end:
        answer['code'] = end.code
      except BaseException:
        answer['trace'] = traceback.format_exc()
    answer['error'] = errors.getvalue()
    print(json.dumps(answer), flush=True)


if __name__ == '__main__':
  _main(sys.argv[1])

"""The start of every command, and its exit on unusable input."""

from collections.abc import Callable, Mapping, Sequence
import contextlib
import errno
import multiprocessing
import os
import pathlib
import stat
import sys
import threading
import traceback

from absl import app
from absl import flags
from absl import logging

from transfusion_tf import errors
from transfusion_tf import shown_text
from transfusion_tf import startup
from transfusion_tf import stop_signals
from transfusion_tf import storage
from transfusion_tf.cli import flag_values
from transfusion_tf.cli import help_text
from transfusion_tf.cli import streams

USAGE_EXIT_CODE = 2
_PIPE_EXIT_CODE = 141  # 128 + SIGPIPE, as shells have it.
# What is no fault of the path that a command was given.
_FULL = (
  *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO),
  *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN),
)
_LONG = 300  # A word of a message: longer ones say nothing.


def run(
  main: Callable[[Sequence[str]], None],
  groups: Mapping[str, str] | None = None,
) -> None:
  """Run `main` as an absl app; unusable input is one line and exit code 2.

  Args:
    main: The command, a function of the other arguments; its module has the
      flags, and the help as its docstring.
    groups: Flag -> heading under which --help lists it.
  """
  streams.prepare()
  stop_signals.install()
  try:
    os.environ.update(startup.environment(os.environ))
    logging.set_verbosity(logging.WARNING)
    app.run(
      lambda argv: _exit_on_input_error(main, argv),
      flags_parser=lambda argv: _parse(argv, main.__module__, groups or {}),
    )
  except stop_signals.Stopped:
    _exit(sys.argv[0], '')
  finally:
    stop_signals.ignore()
    # A thread that waits for a child has nothing to say of its end.
    threading.excepthook = lambda _: None
    for child in multiprocessing.active_children():
      child.kill()  # What it is at is of no use any more.


def _parse(argv, module, groups):
  if {'--help', '-help', '-h', '--helpshort'} & set(argv[1:]):
    _print_help(argv[0], help_text.text(module, groups))
  argv = ['--verbosity=1' if word == '-v' else word for word in argv]
  try:
    argv = _with_local_flagfiles(argv)
  except (errors.InputError, FileNotFoundError) as error:
    _exit(argv[0], f'--flagfile: {error}')
  if '--verbosity=1' in argv:
    os.environ['TF_CPP_MIN_LOG_LEVEL'] = '0'
  try:
    rest = flags.FLAGS(argv)
    flag_values.check(module)
  except (flags.Error, errors.InputError) as error:
    _exit(argv[0], str(error))
  except (OSError, UnicodeDecodeError) as error:
    _exit(argv[0], f'--flagfile cannot be read: {error}')
  return rest


def _print_help(program, text):
  try:
    print(text, flush=True)
  except BrokenPipeError:  # The reader, e.g. `head`, has seen enough.
    pass
  except OSError as error:
    _exit_if_lacking(program, error)
  os._exit(0)


def _with_local_flagfiles(argv):
  """Replace flagfiles in buckets, which absl cannot read, by copies."""
  argv = list(argv)
  for n, word in enumerate(argv):
    name, equals, value = word.partition('=')
    if name not in ('--flagfile', '-flagfile'):
      continue
    path = value if equals else ''.join(argv[n + 1 : n + 2])
    if (
      path.startswith('/dev/')
      and os.path.exists(path)
      and (stat.S_ISCHR(os.stat(path).st_mode))
    ):
      raise errors.InputError(f'{path} is a device')  # It may have no end.
    if storage.is_remote(path):
      startup.import_tensorflow()
      copy = storage.local_copy(path)
      argv[n : n + (1 if equals else 2)] = [f'{name}={copy}']
  return argv


def _exit_on_input_error(main, argv):
  if argv[1:]:
    _exit(argv[0], f'unexpected argument {argv[1]!r}; flags start with --')
  try:
    main(argv)
    sys.stdout.flush()
  except (errors.InputError, errors.RunError) as error:
    if startup.is_verbose():
      traceback.print_exc()
    unusable = isinstance(error, errors.InputError)
    _exit(argv[0], str(error), USAGE_EXIT_CODE if unusable else 1)
  except BrokenPipeError:  # The reader, e.g. `head`, closed the pipe.
    os._exit(_PIPE_EXIT_CODE)
  except Exception as error:
    if startup.is_verbose():
      raise
    if stop_signals.received():
      _exit(argv[0], '')
    if storage.is_lost_connection(error):
      reason = storage.reason(error)
      _exit(
        argv[0], f'a bucket was lost ({reason}); the same command continues', 1
      )
    _exit_if_lacking(argv[0], error)
    if isinstance(error, OSError) and error.filename and error.strerror:
      _exit(argv[0], f'{os.fsdecode(error.filename)}: {error.strerror}')
    raise


def _exit_if_lacking(program, error):
  if lacking := _lacking(error):
    _exit(program, f'{lacking}; make room, and the same command continues', 1)


def _lacking(error):
  """Return what the machine lacks, if that is the cause of an error, or ''."""
  if isinstance(error, OSError) and error.errno in _FULL:
    place = f'{os.fsdecode(error.filename)}: ' if error.filename else ''
    return f'{place}{os.strerror(error.errno)}'
  is_unmapped = isinstance(error, ImportError) and 'map segment' in str(error)
  if isinstance(error, MemoryError) or is_unmapped:
    return 'not enough memory'
  # TFDS raises its own from it.
  said = storage.lacking(error, _FULL)
  return said or (error.__cause__ and _lacking(error.__cause__))


def _exit(program, message, code=USAGE_EXIT_CODE):
  if stopped := stop_signals.received():
    stop_signals.ignore()
    code = stopped.code
    message = f'stopped by {stopped.name}; the same command continues'
  name = os.path.basename(program)
  words = [
    word if len(word) <= _LONG else f'{word[:_LONG]}…'
    for word in message.split()
  ]
  line = shown_text.printable(' '.join(words))
  with contextlib.suppress(OSError):
    print(f'{name}: {line}', file=sys.stderr)
  for stream in (sys.stdout, sys.stderr):
    streams.flush(stream)
  sys.exit(code)


def import_data() -> None:
  """Make the package `data` of a clone importable.

  Raises:
    InputError: There is no clone: `data` builds data sets and is not installed.
  """
  clone = pathlib.Path(__file__).parents[2]
  if not (clone / 'data' / 'base_builder.py').exists():
    raise errors.InputError(
      'this command reads raw images, with code that a clone has and an '
      'installed package has not; run it in a clone: python bin/...'
    )
  if str(clone) not in sys.path:
    sys.path.append(str(clone))

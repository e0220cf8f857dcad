"""What every binary shares: how it starts, and how it refuses."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import os
import sys
import traceback

from absl import app
from absl import flags
from absl import logging

from transfusion_tf import errors
import usage


def _packages_before_binaries() -> None:
  """Makes `import svcca` find the package, not the binary of its name.

  A script's folder comes first on Python's path.
  """
  here = os.path.dirname(os.path.abspath(__file__))
  path = list(sys.path)
  sys.path[:] = [p for p in path if os.path.abspath(p or '.') != here]
  import svcca  # noqa: F401

  sys.path[:] = path


_packages_before_binaries()

USAGE_EXIT_CODE = 2
# Defaults that TensorFlow reads when it is imported.
ENVIRONMENT = {
  'TF_CPP_MIN_LOG_LEVEL': '2',
  'GRPC_VERBOSITY': 'ERROR',
  # TensorFlow's own choice where there is AVX-512; without, ResNet-50 and
  # CBR-LargeW were measured to train 1.5 times as fast.
  'TF_ENABLE_ONEDNN_OPTS': '1',
}
# 128 + the signal's number, as shells have it.
_INTERRUPT_EXIT_CODE = 130
_PIPE_EXIT_CODE = 141


def run(
  main: Callable[[Sequence[str]], None],
  groups: Mapping[str, str] | None = None,
) -> None:
  """Runs `main` as an absl app; unusable input is one line and exit code 2.

  Args:
    main: What to run, with what is left of the command line.
    groups: Flag -> heading under which --help lists it.
  """
  os.environ.update(ENVIRONMENT | dict(os.environ))
  logging.set_verbosity(logging.WARNING)
  app.run(
    lambda argv: _refuse_unusable(main, argv),
    flags_parser=lambda argv: _parse(argv, groups or {}),
  )


def import_tensorflow() -> None:
  """Imports TensorFlow without what it writes before its logging is set up.

  Errors are exceptions and come through; the lines are about CPU instructions
  and missing GPU drivers.
  """
  with quiet():
    import tensorflow as tf

    if not _is_verbose():
      tf.config.list_physical_devices()
      tf.get_logger().setLevel('ERROR')


@contextlib.contextmanager
def quiet() -> Iterator[None]:
  """Nothing reaches stderr, not even from C++, unless -v was given."""
  if _is_verbose():
    yield
    return
  stderr = os.dup(2)
  nowhere = os.open(os.devnull, os.O_WRONLY)
  try:
    os.dup2(nowhere, 2)
    yield
  finally:
    os.dup2(stderr, 2)
    os.close(stderr)
    os.close(nowhere)


def _is_verbose():
  return logging.get_verbosity() > logging.INFO


def _parse(argv, groups):
  if {'--help', '-help', '-h', '--helpshort'} & set(argv[1:]):
    with contextlib.suppress(BrokenPipeError):
      print(usage.text(groups), flush=True)
    os._exit(0)
  argv = ['--verbosity=1' if word == '-v' else word for word in argv]
  if '--verbosity=1' in argv:
    os.environ['TF_CPP_MIN_LOG_LEVEL'] = '0'
  try:
    return flags.FLAGS(argv)
  except flags.Error as error:
    _exit(argv[0], str(error))


def _refuse_unusable(main, argv):
  if argv[1:]:
    _exit(argv[0], f'unexpected argument {argv[1]!r}; flags start with --')
  try:
    main(argv)
    sys.stdout.flush()
  except (errors.InputError, errors.RunError) as error:
    if _is_verbose():
      traceback.print_exc()
    unusable = isinstance(error, errors.InputError)
    _exit(argv[0], str(error), USAGE_EXIT_CODE if unusable else 1)
  except KeyboardInterrupt:
    _exit(argv[0], 'stopped; the same command goes on', _INTERRUPT_EXIT_CODE)
  except BrokenPipeError:  # Our reader, `head` for one, has had enough.
    os._exit(_PIPE_EXIT_CODE)


def _exit(program, message, code=USAGE_EXIT_CODE):
  name = os.path.basename(program)
  print(f'{name}: {" ".join(message.split())}', file=sys.stderr)
  sys.exit(code)

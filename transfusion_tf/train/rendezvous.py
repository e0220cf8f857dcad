"""Waiting until the other workers of a run have started.

TensorFlow waits for them without a word, without an end and deaf to signals,
and holds Python's lock while it does, so that no thread can speak for it. Here
a worker first listens at its own address, which TensorFlow takes over, until
all others can be connected to at theirs.
"""

from collections.abc import Iterator, Mapping
import contextlib
import faulthandler
import os
import socket
import sys
import time

from transfusion_tf import errors

_CONNECT_SECONDS = 2.0
_POLL_SECONDS = 0.5
_FIRST_WORD_SECONDS, _LATER_WORDS_SECONDS = 5.0, 60.0


def wait(own: str, others: Mapping[str, str], timeout: float) -> None:
  """Return when all other workers listen at their addresses.

  Args:
    own: HOST:PORT of this worker.
    others: Name -> HOST:PORT of each other worker.
    timeout: Seconds.

  Raises:
    InputError: Another process has this worker's port.
    RunError: A worker has not started in time; the message says which.
  """
  start_time = time.monotonic()
  next_word = _FIRST_WORD_SECONDS
  missing = dict(others)
  with _listener(own):
    while True:
      missing = {n: a for n, a in missing.items() if not _is_reached(a)}
      if not missing:
        return
      seconds = time.monotonic() - start_time
      names = errors.listed([f'{n} at {a}' for n, a in missing.items()])
      if seconds >= timeout:
        raise errors.RunError(
          f'waited {timeout:g} s (--worker_timeout) in vain for {names}; start '
          'all workers with the same addresses, or raise the limit'
        )
      if seconds >= next_word:
        next_word = seconds + _LATER_WORDS_SECONDS
        _say(f'waiting for {names} for {seconds:.0f} of {timeout:g} s')
      time.sleep(min(_POLL_SECONDS, timeout - seconds))


@contextlib.contextmanager
def limit(timeout: float) -> Iterator[None]:
  """End the process with code 1 if the enclosed code takes longer.

  It is for code that holds Python's lock, as TensorFlow does while it connects
  workers; one may have hung or died since `wait` reached it. So it is said
  before.
  """
  _say(
    'the other workers have started; if TensorFlow cannot connect them in '
    f'{timeout:g} s (--worker_timeout), this one ends with code 1'
  )
  with open(os.devnull, 'w') as nowhere:
    faulthandler.dump_traceback_later(timeout, exit=True, file=nowhere)
    try:
      yield
    finally:
      faulthandler.cancel_dump_traceback_later()


@contextlib.contextmanager
def _listener(own):
  """Listen at the port of an address."""
  port = _host_and_port(own)[1]
  try:
    listener = socket.create_server(('', port))
  except OSError as error:
    raise errors.InputError(
      f'{own}: this worker cannot listen there: {error.strerror}; end what '
      'does, or give all workers another port'
    ) from None
  with listener:
    yield


def _is_reached(address):
  try:
    socket.create_connection(_host_and_port(address), _CONNECT_SECONDS).close()
  except OSError:  # Not yet, also where its host has no name yet.
    return False
  return True


def _host_and_port(address):
  host, _, port = address.rpartition(':')
  if not host or not port.isdecimal() or int(port) > 65535:
    raise errors.InputError(
      f'the address {address!r} of a worker is not HOST:PORT; correct TF_CONFIG'
    )
  return host.strip('[]'), int(port)


def _say(text):
  print(text, file=sys.stderr, flush=True)

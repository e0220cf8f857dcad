"""Mapping a function over many items with all cores."""

import atexit
import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
import functools
import itertools
import multiprocessing
from typing import TypeVar

from transfusion_tf import cores
from transfusion_tf import errors

T = TypeVar('T')
R = TypeVar('R')

_CHUNK = 8  # Items sent to a process at once: small ones cost more to send.


def ordered_map(
  function: Callable[[T], R], items: Iterable[T], num_processes: int = 0
) -> Iterator[R]:
  """Yield `function(item)` in the order of `items`, from many processes.

  `function` and the items are pickled. Only a few chunks are in flight, so
  that a slow consumer holds the producers back and memory stays flat.

  Args:
    function: A function of one item, defined at the top of a module.
    items: Any iterable; it is read as results are taken.
    num_processes: 0 is one a core; 1 runs in this process.

  Raises:
    InputError: The machine is too small for so many processes.
  """
  chunks = _chunks(items)
  head = list(itertools.islice(chunks, 2))
  num_processes = num_processes or cores.available()
  if num_processes == 1 or len(head) < 2:  # Nothing to share out.
    for chunk in itertools.chain(head, chunks):
      yield from map(function, chunk)
    return
  pool, pending = _pool(num_processes), collections.deque()
  try:
    for chunk in itertools.chain(head, chunks):
      pending.append(pool.submit(_apply, function, chunk))
      if len(pending) >= 3 * num_processes:
        yield from pending.popleft().result()
    while pending:
      yield from pending.popleft().result()
  except futures.process.BrokenProcessPool:
    raise errors.InputError(
      'a process died, maybe of too little memory: try fewer --num_processes'
    ) from None
  finally:
    for future in pending:
      future.cancel()


@functools.cache
def _pool(num_processes):
  """Return a pool of processes that stay: each takes seconds to start."""
  # Not forked: a fork of a process with TensorFlow's threads can deadlock.
  context = multiprocessing.get_context('spawn')
  pool = futures.ProcessPoolExecutor(num_processes, context)
  atexit.register(pool.shutdown, cancel_futures=True)
  return pool


def _apply(function, chunk):
  return [function(item) for item in chunk]


def _chunks(items):
  items = iter(items)
  while chunk := list(itertools.islice(items, _CHUNK)):
    yield chunk

"""Mapping a function over many items with all cores."""

import atexit
import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
import functools
import itertools
import multiprocessing
from typing import TypeVar

import tqdm

from transfusion_tf import cores
from transfusion_tf import errors
from transfusion_tf import stop_signals

T = TypeVar('T')
R = TypeVar('R')

_CHUNK = 8  # Items sent to a process at once: each costs time to send.
_AHEAD = 3  # Chunks of a process that wait for the consumer, or are computed.


def ordered_map(
  function: Callable[[T], R],
  items: Iterable[T],
  num_processes: int = 0,
  title: str = '',
  unit: str = 'image',
  total: int | None = None,
) -> Iterator[R]:
  """Yield `function(item)` in the order of `items`, from many processes.

  A slow consumer holds the processes back: memory stays flat. (joblib's
  generator computes on, however slow the consumer is.)

  Args:
    function: A picklable function of one item.
    items: The arguments, taken as they are needed.
    num_processes: 0 is one a core; 1 runs in this process.
    title: If given, shows a progress bar of that name.
    unit: Name of an item on the bar.
    total: The number of items, if they are no sequence.

  Raises:
    InputError: The machine is too small for so many processes.
  """
  num_processes = num_processes or cores.available()
  if total is None:
    total = len(items)  # type: ignore[arg-type]
  # Few items are done sooner than processes start.
  alone = num_processes == 1 or total <= _CHUNK
  results = (
    map(function, items) if alone else _spread(function, items, num_processes)
  )
  yield from tqdm.tqdm(
    results, title, total, unit=unit, smoothing=0.05, disable=not title
  )


def _spread(function, items, num_processes):
  pool = _pool(num_processes)
  items = iter(items)
  chunks = iter(lambda: list(itertools.islice(items, _CHUNK)), [])
  pending = collections.deque()
  try:
    while True:
      free = _AHEAD * num_processes - len(pending)
      for chunk in itertools.islice(chunks, free):
        pending.append(pool.submit(_apply, function, chunk))
      if not pending:
        return
      yield from pending.popleft().result()
  except futures.process.BrokenProcessPool:
    _pool.cache_clear()
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
  pool = futures.ProcessPoolExecutor(
    num_processes, context, stop_signals.end_with_parent
  )
  atexit.register(pool.shutdown, cancel_futures=True)
  return pool


def _apply(function, items):
  return [function(item) for item in items]

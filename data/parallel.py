"""Mapping a function over many items with all cores."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import process
import itertools
from typing import TypeVar
import warnings

import joblib
import tqdm

from transfusion_tf import cores
from transfusion_tf import errors

T = TypeVar('T')
R = TypeVar('R')

_BATCH = 4  # Items sent to a process at once: each costs time to send.
# Items of a process in a window. Joblib computes on, however slow the consumer
# is: a window starts when the last one is consumed, so that memory stays flat.
_WINDOW = 64

# Of a consumer that stops early: it has an error of its own to report.
warnings.filterwarnings('ignore', r'\d+ tasks ', module='joblib')


def ordered_map(
  function: Callable[[T], R],
  items: Sequence[T],
  num_processes: int = 0,
  title: str = '',
  unit: str = 'image',
) -> Iterator[R]:
  """Yield `function(item)` in the order of `items`, from many processes.

  Args:
    function: A picklable function of one item.
    items: The arguments.
    num_processes: 0 is one a core; 1 runs in this process.
    title: If given, shows a progress bar of that name.
    unit: Name of an item on the bar.

  Raises:
    InputError: The machine is too small for so many processes.
  """
  num_processes = num_processes or cores.available()
  results = _results(function, items, num_processes)
  yield from tqdm.tqdm(
    results, title, len(items), unit=unit, smoothing=0.05, disable=not title
  )


def _results(function, items, num_processes):
  items = iter(items)
  while window := list(itertools.islice(items, _WINDOW * num_processes)):
    # Few items are done sooner than processes start.
    num_jobs = num_processes if len(window) > 2 * _BATCH else 1
    run = joblib.Parallel(num_jobs, return_as='generator', batch_size=_BATCH)
    try:
      yield from run(joblib.delayed(function)(item) for item in window)
    except process.BrokenProcessPool:
      raise errors.InputError(
        'a process died, maybe of too little memory: try fewer --num_processes'
      ) from None

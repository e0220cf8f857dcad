"""What the runs of a study are at: a line on the terminal, and status.html.

Any browser opens STUDY/status.html, which whoever makes the study refreshes
every few seconds.
"""

from collections.abc import Iterator, Mapping
import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import threading
import time

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import storage
from transfusion_tf import templates
from transfusion_tf.study import durations
from transfusion_tf.study import remaining

PAGE = 'status.html'
WAITING, RUNNING, DONE, FAILED = 'waiting', 'running', 'done', 'failed'
_TEMPLATE = pathlib.Path(__file__).parent / 'templates' / PAGE
_METRICS = 'metrics.jsonl'  # `run_folder.METRICS`.
_REFRESH_SECONDS = 5.0
# Each look at a bucket is a request for each run.
_REFRESH_BUCKET_SECONDS = 60.0
_LINE_SECONDS = 60.0
_UNREADABLE = (OSError, ValueError, errors.RunError)


@dataclasses.dataclass
class Run:
  """What a run is at.

  Attributes:
    key: Its path below the study's folder.
    total: Its steps, if it has a number of them.
    batch_size: Images of a step.
    state: One of `WAITING`, `RUNNING`, `DONE` and `FAILED`.
    where: The machine that it runs on, if it is not this one.
    reason: Why it failed.
    since: When it began, in seconds of `time.monotonic`.
    step: The step of its last evaluation.
    rate: Images per second between the last two.
  """

  key: str
  total: int
  batch_size: int
  state: str = WAITING
  where: str = ''
  reason: str = ''
  since: float = 0.0
  step: int = 0
  rate: float = 0.0

  @property
  def lasted(self) -> str:
    """How long it has been running."""
    return durations.text(time.monotonic() - self.since)

  def at(self, step: int, before: float, now: float) -> None:
    """Note the step of its last evaluation.

    Args:
      step: The step.
      before: When the one before was seen, in seconds of `time.monotonic`.
      now: The time.
    """
    if self.step and step > self.step:
      self.rate = (step - self.step) * self.batch_size / (now - before)
    self.step = step


class Status:
  """What the runs of a study are at."""

  def __init__(
    self,
    planned: Mapping[str, config.Experiment],
    root: str,
    at_a_time: int = 1,
  ):
    """Begin with all runs waiting.

    Args:
      planned: Key -> run.
      root: Folder of the study.
      at_a_time: How many run at a time.
    """
    self.runs = {
      key: Run(key, each.train.train_steps, each.train.batch_size)
      for key, each in planned.items()
    }
    self._root = root
    self._left = remaining.Remaining(planned, root, at_a_time)
    self._seen: dict[str, float] = {}  # When a step was first seen.
    self._lock = threading.Lock()
    self._ended = threading.Event()
    self._printed = time.monotonic()

  @contextlib.contextmanager
  def shown(self) -> Iterator[None]:
    """Keep the page up to date inside."""
    thread = threading.Thread(target=self._refresh, daemon=True)
    thread.start()
    try:
      yield
    finally:
      self._ended.set()
      with self._lock:
        for run in self.of(RUNNING):  # The same command continues it.
          run.state = WAITING
      thread.join()

  def began(self, key: str, where: str) -> None:
    """Note that a run begins; from any thread."""
    with self._lock:
      run = self.runs[key]
      run.state, run.where, run.since = RUNNING, where, time.monotonic()

  def ended(self, key: str, error: str = '') -> None:
    """Note that a run is finished, or why it failed."""
    with self._lock:
      self._left.ended(key, not error)
      run = self.runs[key]
      run.state, run.reason = (FAILED if error else DONE), error

  def print_end(self, key: str) -> None:
    """Print how a run has ended, and what is left."""
    state = self.runs[key].reason or (
      f'finished, {self.count(DONE)} of {len(self.runs)}'
    )
    text = '; '.join(filter(None, [state, self.left()]))
    print(f'== {key}: {text}', flush=True)

  def left(self) -> str:
    """Return how long all takes, if that is known."""
    return self._left.text()

  def of(self, state: str) -> list[Run]:
    """Return the runs of a state."""
    return [run for run in self.runs.values() if run.state == state]

  def count(self, state: str) -> int:
    """Return how many runs are of a state."""
    return len(self.of(state))

  @property
  def rate(self) -> float:
    """Images per second of all that run."""
    return sum(run.rate for run in self.of(RUNNING))

  def text(self) -> str:
    """Return a line for a terminal."""
    running = [f'{run.key} on {run.where}' for run in self.of(RUNNING)]
    parts = [
      f'{self.count(DONE)} of {len(self.runs)} finished',
      f'{len(running)} running ({errors.listed(running, 4)})',
      f'{self.count(WAITING)} waiting',
      f'{self.count(FAILED)} failed',
      f'{self.rate:,.0f} images/s' if self.rate else '',
      self.left(),
    ]
    return '-- ' + '; '.join(filter(None, parts))

  def write(self) -> None:
    """Write the page."""
    for run in self.of(RUNNING):
      self._look(run)
    with self._lock:
      page = templates.render(
        _TEMPLATE,
        name=os.path.basename(os.path.normpath(self._root)),
        status=self,
        written=datetime.datetime.now().astimezone().strftime('%H:%M:%S %Z'),
        seconds=round(self._every),
        is_over=self._ended.is_set(),
      )
    storage.write_text(os.path.join(self._root, PAGE), page)

  @property
  def _every(self):
    is_remote = storage.is_remote(self._root)
    return _REFRESH_BUCKET_SECONDS if is_remote else _REFRESH_SECONDS

  def _refresh(self):
    while True:
      is_over = self._ended.is_set()
      with contextlib.suppress(*_UNREADABLE):  # It is no run's fault.
        self.write()
        self._print()
      if is_over:
        return
      self._ended.wait(self._every)

  def _print(self):
    """Print a line now and then, where nobody else tells what runs are at."""
    elsewhere = any(run.where for run in self.of(RUNNING))
    if elsewhere and time.monotonic() > self._printed + _LINE_SECONDS:
      self._printed = time.monotonic()
      print(self.text(), flush=True)

  def _look(self, run):
    """Read how far a run is."""
    path = os.path.join(self._root, run.key, _METRICS)
    with contextlib.suppress(*_UNREADABLE, LookupError, TypeError):
      if storage.exists(path):
        last = storage.read_text(path).rstrip('\n').rpartition('\n')[2]
        step, now = int(json.loads(last)['step']), time.monotonic()
        if step != run.step or run.key not in self._seen:
          run.at(step, self._seen.get(run.key, now), now)
          self._seen[run.key] = now

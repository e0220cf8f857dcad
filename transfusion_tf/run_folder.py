"""The folder of a run: its files, and who may write them.

config.json      the `config.Experiment`
outputs.json     the meaning of each output, the data set it was trained on and
                 the form in which that stores pictures
init.json        the initialization of every weight
network.json     the network: each layer, what it takes and its settings; and
                 how much it differs from that of the pretrained weights
checkpoints/     step 0, the best and the last few (`train.checkpoint`)
metrics.jsonl    one row per evaluation (`train.history`)
tensorboard/     the same with plots, for TensorBoard (`run.tensorboard`)
leases/          in a bucket or on a cluster, who writes to it (`lease`)
test_scores.csv  the probabilities of every test image
validation_scores.csv  those of the validation images, which choose thresholds;
                 runs of earlier versions have none
decisions.json   step of a checkpoint -> the thresholds that validation chose
                 for it, and the temperature (`decisions`)
result.json      written last: a run with it is finished
"""

from collections.abc import Callable, Collection, Iterator, Mapping
import contextlib
import csv
import os
from typing import Any, NotRequired, TypedDict

from transfusion_tf import config
from transfusion_tf import decisions as decisions_lib
from transfusion_tf import errors
from transfusion_tf import json_file
from transfusion_tf import lease
from transfusion_tf import output_names
from transfusion_tf import scratch
from transfusion_tf import storage
from transfusion_tf import tasks
from transfusion_tf.train import checkpoint
from transfusion_tf.train import history

CONFIG, INIT, RESULT = 'config.json', 'init.json', 'result.json'
OUTPUTS, NETWORK = 'outputs.json', 'network.json'
DECISIONS = 'decisions.json'
METRICS, TEST_SCORES = 'metrics.jsonl', 'test_scores.csv'
VALIDATION_SCORES = 'validation_scores.csv'
CHECKPOINTS, TENSORBOARD = 'checkpoints', 'tensorboard'
# In the environment of processes whose folders other machines may write.
SHARED = 'TRANSFUSION_TF_SHARED_FOLDERS'
_REMEDY = 'restore the file, or train again in another --run_dir'


class _Summary(TypedDict):
  value: float | None
  low: float | None
  high: float | None
  undefined: NotRequired[str]


class _Point(decisions_lib.PointRecord):
  sensitivity: _Summary
  specificity: _Summary


class _Result(TypedDict):
  headline: str
  test: dict[str, _Summary]
  judged_step: int
  num_test: int
  num_train: int
  seconds: float
  versions: dict[str, str]
  devices: NotRequired[dict[str, int]]
  last_step: NotRequired[int]
  judged_split: NotRequired[str]
  parameters: NotRequired[int]
  trainable_parameters: NotRequired[int]
  num_validation: NotRequired[int]
  validation_patients: NotRequired[int]
  stopped_early: NotRequired[bool]
  timing: NotRequired[dict[str, tuple[int, float]]]
  data: NotRequired[str]
  operating_points: NotRequired[list[_Point]]
  pretrained_difference: NotRequired[float]


class _Data(TypedDict):
  dataset: str
  directory: str
  fingerprint: str


class _Task(TypedDict):
  kind: str
  names: list[str]
  referable_from: NotRequired[int]
  cumulative: NotRequired[bool]
  uncertain: NotRequired[str]


class _Form(TypedDict):
  kind: str
  side: int


class _Outputs(TypedDict):
  outputs: _Task
  data: NotRequired[_Data]
  stored_form: NotRequired[_Form]


_Layer = TypedDict(
  '_Layer',
  {
    'layer': str,
    'class': str,
    'inputs': list[str],
    'weights': dict[str, list[int]],
    'config': dict[str, object],
  },
)


class _Network(TypedDict):
  layers: list[_Layer]
  pretrained_difference: NotRequired[float]


@contextlib.contextmanager
def claim(
  experiment: config.Experiment, run_dir: str
) -> Iterator[Callable[[], None]]:
  """Lock `run_dir` for `experiment` against other processes.

  The operating system releases the lock when the process dies. Folders in a
  bucket have no locks, but a `lease`; those that a cluster shares have both.

  Yields:
    A function that raises a RunError if another process has taken over.

  Raises:
    InputError: The folder holds another experiment, is locked by another
      process, or cannot be written.
  """
  is_remote = storage.is_remote(run_dir)
  with contextlib.nullcontext() if is_remote else _held(run_dir):
    if not is_remote and SHARED not in os.environ:
      check(experiment, run_dir)
      yield lambda: None
      return
    with lease.held(run_dir) as mine:
      check(experiment, run_dir)
      yield mine.check


def check(experiment: config.Experiment, run_dir: str) -> None:
  """Raise an InputError with the differences if another experiment is there."""
  path = os.path.join(run_dir, CONFIG)
  if not _is_begun(run_dir) or not storage.exists(path):
    return
  differences = config.differences(config.load(path), experiment)
  if differences:
    raise errors.InputError(
      f'{run_dir} holds another experiment ({"; ".join(differences)}); '
      'choose another --run_dir or delete it'
    )


def write_outputs(
  run_dir: str,
  task: tasks.Task,
  data: Mapping,
  form: Mapping[str, Any] | None = None,
) -> None:
  """Write RUN/outputs.json.

  Args:
    run_dir: The run's folder.
    task: The task, with the meaning of the outputs.
    data: A description of the data set, with its `fingerprint`.
    form: How the data set stores pictures, if it states it
      (`input_pipeline.stored_form`).
  """
  record = {'outputs': tasks.to_json(task), 'data': dict(data)}
  if form:
    record['stored_form'] = dict(form)
  storage.write_json(os.path.join(run_dir, OUTPUTS), record)


def task(run_dir: str, data: config.Data) -> tasks.Task | None:
  """Return the meaning of a run's outputs; None if it is not known yet.

  For a run that an earlier version finished it is read off the columns of its
  table of scores, which the training process wrote.

  Raises:
    InputError: The file is damaged; or an earlier version began the run on
      findings, whose order it did not record.
  """
  # A finished run may have lost its checkpoints.
  if not _is_begun(run_dir) and not result(run_dir):
    return None
  if described := _described(run_dir):
    return described
  if data.findings:
    return tasks.make(output_names.FINDINGS, data.findings, data)
  kind, names = _outputs_of_scores(run_dir)
  if kind == output_names.FINDINGS:
    _check_order(run_dir, names)
  return tasks.make(kind, names, data) if kind else None


def begun_on(run_dir: str) -> dict[str, str]:
  """Return the data set that a run was begun on; empty if unknown.

  Returns:
    `dataset`, `directory` and `fingerprint`.
  """
  return (_read(run_dir, OUTPUTS, _Outputs) or {}).get('data', {})


def stored_form(run_dir: str) -> dict[str, Any]:
  """Return how the pictures of the training were stored; empty if unknown."""
  return (_read(run_dir, OUTPUTS, _Outputs) or {}).get('stored_form', {})


def begun_on_other(run_dir: str, known_as: Collection[str]) -> dict[str, str]:
  """Return the data set that a run was begun on, if it is another one.

  Args:
    run_dir: The run's folder.
    known_as: The fingerprints of the open data set.

  Returns:
    As `begun_on`; empty if it is the same data set, or is unknown.
  """
  return if_other(begun_on(run_dir), known_as)


def if_other(
  known: Mapping[str, str], known_as: Collection[str]
) -> dict[str, str]:
  """Return what `begun_on` returned if it is another data set, else empty."""
  is_other = known and known['fingerprint'] not in known_as
  return dict(known) if is_other else {}


def _described(run_dir):
  """Return the outputs as described in RUN/outputs.json, or None."""
  record = _read(run_dir, OUTPUTS, _Outputs)
  if record is None:
    return None
  try:
    return tasks.from_json(record['outputs'])
  except (errors.InputError, LookupError, TypeError, AttributeError) as error:
    raise errors.DamagedFileError(
      os.path.join(run_dir, OUTPUTS), str(error), _REMEDY
    ) from None


def _outputs_of_scores(run_dir):
  """Return the outputs' kind and names in RUN/test_scores.csv, or empty."""
  path = os.path.join(run_dir, TEST_SCORES)
  if not storage.exists(path):
    if _has_findings(run_dir):
      raise errors.InputError(
        f'{run_dir} was begun by an earlier version, which did not keep the '
        'order of its findings: the meaning of its outputs is unknown; train '
        'it again in another --run_dir'
      )
    return '', ()
  columns = _header(path)
  names = output_names.of_columns(columns)
  if 'referable:label' in columns:
    return tasks.Grades.kind, names
  if 'top1:value' in columns:
    return tasks.Classes.kind, names
  return output_names.FINDINGS, names


def _header(path):
  """Return the names of the columns of a table."""
  try:
    return next(csv.reader(storage.read_text(path).splitlines()))
  except StopIteration:
    problem = 'empty'
  except (OSError, ValueError, csv.Error) as error:
    problem = storage.reason(error)
  raise errors.DamagedFileError(path, problem, _REMEDY)


def _has_findings(run_dir):
  rows = _rows(run_dir)
  return any(tasks.Findings.primary_metric in row['validation'] for row in rows)


def _check_order(run_dir, names):
  """Raise an InputError if an old run was continued with other findings."""
  for row in _rows(run_dir):
    if tuple(row['validation'])[1:] != tuple(names):
      raise errors.InputError(
        f'{run_dir} was continued by an earlier version with its findings in '
        'another order: it learned them mixed up; train it again'
      )


def split_checkpoint(name: str) -> tuple[str, str]:
  """Split `RUN[@CHECKPOINT]` into the run's folder and the checkpoint's name.

  The latter is for `checkpoint_step`.
  """
  run_dir, at, which = name.rpartition('@')
  if not at or storage.isdir(name):
    return name, ''
  return run_dir, which


def name(run_dir: str) -> str:
  """Return the name of a run's folder, without where it is."""
  return os.path.basename(os.path.normpath(run_dir))


def checkpoint_step(run_dir: str, which: str = '') -> int:
  """Return the step of a run's checkpoint.

  Args:
    run_dir: The run's folder.
    which: `best` on validation, `final`, `init` or a step; empty is the
      checkpoint that was scored on the test split.

  Raises:
    InputError: There is none, or the run is not finished.
  """
  steps = checkpoint.steps(os.path.join(run_dir, CHECKPOINTS))
  if not steps:
    raise errors.InputError(f'{run_dir}: no checkpoints; train it first')
  if which.isdigit():
    return int(which)
  if which == 'init':
    return 0
  if which == 'final':
    return steps[-1]
  if which == 'best':
    rows = _rows(run_dir)
    row = history.best(rows, _primary_metric(run_dir)) if rows else None
    return row['step'] if row else steps[-1]
  if which:
    raise errors.unknown('checkpoint', which, ['best', 'final', 'init', 'STEP'])
  if not (finished := result(run_dir)):
    raise errors.InputError(
      f'{run_dir}: this run is not finished; finish it or name a checkpoint: '
      f'{run_dir}@final'
    )
  return finished['judged_step']


def _primary_metric(run_dir):
  """Return the metric that selects a run's best checkpoint."""
  path = os.path.join(run_dir, CONFIG)
  if storage.exists(path) and (
    chosen := config.load(path).train.primary_metric
  ):
    return chosen
  if described := _described(run_dir):
    return described.primary_metric
  metrics = {name for row in _rows(run_dir) for name in row['validation']}
  kinds = (
    tasks.Grades.primary_metric,
    tasks.Findings.primary_metric,
    'auc',
    'top1',
  )
  for name in kinds:
    if name in metrics:
      return name
  raise errors.DamagedFileError(
    os.path.join(run_dir, METRICS), 'no metric of its kind', _REMEDY
  )


def _rows(run_dir):
  path = os.path.join(run_dir, METRICS)
  return history.read(path) if storage.exists(path) else []


def result(run_dir: str) -> dict[str, Any] | None:
  """Return RUN/result.json, or None while the run is not finished."""
  return _read(run_dir, RESULT, _Result)


def decisions(run_dir: str, step: int | None) -> decisions_lib.Decisions | None:
  """Return how a checkpoint's probabilities are read; None if nobody chose it.

  A finished run of an earlier version has the thresholds of its result.

  Args:
    run_dir: The run's folder.
    step: Step of the checkpoint.
  """
  stored = _read(run_dir, DECISIONS, dict[str, decisions_lib.Record]) or {}
  if found := stored.get(str(step)):
    return decisions_lib.from_json(found)
  finished = result(run_dir)
  if not finished or finished['judged_step'] != step:
    return None
  points = finished.get('operating_points')
  return decisions_lib.from_json({'points': points}) if points else None


def write_decisions(
  run_dir: str, step: int, chosen: decisions_lib.Decisions
) -> None:
  """Store how a checkpoint's probabilities are read, beside other ones."""
  stored = _read(run_dir, DECISIONS, dict[str, decisions_lib.Record]) or {}
  stored[str(step)] = chosen.to_json()
  storage.write_json(os.path.join(run_dir, DECISIONS), stored)


def network(run_dir: str) -> dict[str, Any]:
  """Return RUN/network.json; empty if an earlier version began the run.

  Returns:
    `layers` as `models.fingerprint` describes them; `pretrained_difference` of
    `init.agreement`, if weights were transferred.
  """
  return _read(run_dir, NETWORK, _Network) or {}


def _read(run_dir, name, schema):
  """Read a JSON file of the folder; None if it does not exist."""
  try:
    return json_file.read(os.path.join(run_dir, name), schema, _REMEDY)
  except FileNotFoundError:
    return None


@contextlib.contextmanager
def _held(run_dir):
  remedy = 'choose another --run_dir'
  with contextlib.ExitStack() as stack:
    try:
      storage.makedirs(run_dir)
      held = scratch.held(run_dir, f'wait for it or {remedy}', 'training')
      stack.enter_context(held)
    except OSError as error:
      raise errors.InputError(
        f'{run_dir} cannot be written ({storage.reason(error)}); {remedy}'
      ) from None
    yield


def _is_begun(run_dir):
  return bool(checkpoint.steps(os.path.join(run_dir, CHECKPOINTS)))

"""--plan: what a study will take, before anything is trained."""

from collections.abc import Mapping, Sequence
import math

from absl import flags

from transfusion_tf import config
from transfusion_tf import datasets
from transfusion_tf import errors
from transfusion_tf import storage
from transfusion_tf.cli import time_limit

PLAN = flags.DEFINE_bool(
  'plan',
  False,
  'Train nothing: print device-hours, critical path, storage, requests and '
  'makespans of the missing runs.',
)
_DEVICE = flags.DEFINE_enum(
  'plan_device',
  None,
  ['cpu', 'gpu', 'v4', 'v5e', 'v5p', 'v6e'],
  'On which kind of device, for runs like none that is finished (default: cpu; '
  'gpu at scale=paper): two cores, an H100-class GPU, a chip of a TPU.',
)
_DEVICES = flags.DEFINE_list(
  'plan_devices', ['1', '8', '32', '128'], 'Numbers of devices.'
)
_PREEMPTED_EVERY = flags.DEFINE_string(
  'plan_preempted_every',
  '4h',
  'How often a device is taken away, on average, or never.',
)
_COSTS = flags.DEFINE_list(
  'plan_costs',
  [],
  'Folders of studies whose finished runs tell what runs cost, beside those of '
  'this one.',
)
_WHOLE = flags.DEFINE_bool(
  'plan_whole', False, 'Plan as if no run were finished.'
)
NAMES = (
  *('plan', 'plan_device', 'plan_devices', 'plan_preempted_every'),
  *('plan_costs', 'plan_whole'),
)
_MOST_DEVICES = 100_000


def check_prepared(folder: str) -> None:
  """Raise an InputError if a plan would have to prepare images.

  Args:
    folder: Where a study has those that it prepared.
  """
  if PLAN.value and not datasets.info_files(folder):
    raise errors.InputError(
      '--plan prepares no images: prepare them first (prepare_data.py), and '
      'give the prepared set (--dataset and --data_dir, or --pretrain_on)'
    )


def show(
  phases: Sequence[Mapping[str, config.Experiment]],
  root: str,
  num_processes: int,
  device: str,
  num_validation: Mapping[str, int],
) -> None:
  """Print the plan of a study.

  Args:
    phases: Key -> run of known length, of each call of `runner.train`.
    root: Folder of the study.
    num_processes: Runs at a time on this machine.
    device: The usual kind of device.
    num_validation: Data set -> its validation images.

  Raises:
    InputError: A flag is none of its values.
  """
  from transfusion_tf.study import device_costs
  from transfusion_tf.study import spending_text

  for folder in _COSTS.value:
    if not storage.isdir(folder):
      raise errors.InputError(f'--plan_costs: {folder}: no such folder')
  question = spending_text.Question(
    phases,
    root,
    device_costs.KINDS[_DEVICE.value or device],
    num_validation,
    _COSTS.value,
    num_processes,
    _numbers(),
    _rate(),
    _WHOLE.value,
  )
  for line in spending_text.lines(question):
    print(line, flush=True)


def _numbers():
  try:
    numbers = [int(text) for text in _DEVICES.value]
  except ValueError:
    numbers = [0]
  if not all(0 < number <= _MOST_DEVICES for number in numbers):
    raise errors.InputError(
      f'--plan_devices={",".join(_DEVICES.value)}: write numbers from 1 to '
      f'{_MOST_DEVICES:,}'
    )
  return numbers


def _rate():
  text = _PREEMPTED_EVERY.value
  if text == 'never':
    return math.inf
  return time_limit.parse('plan_preempted_every', text)

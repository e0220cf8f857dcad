r"""Makes tables and figures: runs what they need and is missing, then draws.

  python bin/reproduce.py --target=table1,figure7 --scale=demo \
    --data_dir=DATA --output_dir=STUDY

Targets: table1 ... table5, figure1 ... figure21, claims, all. --output_dir gets
the run folders, and the study's numbers as runs.csv, curves.csv and
similarities.csv. Finished runs are not run again, stopped ones continue. --list
trains nothing: it prints one train.py line for each missing run, for a
scheduler to run, and writes the flagfile of each. --draw_only trains nothing
either, and draws the finished runs. --plan says what the missing ones will
take.
"""

import functools
import os
import shlex

from absl import flags

from transfusion_tf import cores
from transfusion_tf import datasets
from transfusion_tf import errors
from transfusion_tf import flagfile
from transfusion_tf import startup
from transfusion_tf import storage
from transfusion_tf.cli import app
from transfusion_tf.cli import cluster_flags
from transfusion_tf.cli import plan_flags
from transfusion_tf.cli import time_limit

_TARGET = flags.DEFINE_list('target', None, 'What to make.', required=True)
_SCALE = flags.DEFINE_string('scale', 'demo', 'demo, real or paper.')
_QUICK = flags.DEFINE_bool(
  'quick', False, "Fewer steps and repeats: a fifth of the demo's time."
)
_SHUFFLE_LABELS = flags.DEFINE_bool(
  'shuffle_labels',
  False,
  'Control: all networks learn from labels of others; no claim should hold.',
)
_DETERMINISTIC = flags.DEFINE_bool(
  'deterministic', False, 'The same weights, to the bit, when made again.'
)
_DATA_DIR = flags.DEFINE_string('data_dir', None, 'Prepared data sets.')
_RAW_DIR = flags.DEFINE_string(
  'raw_dir',
  None,
  'Downloads of the public sets of scale=real, to prepare what --data_dir '
  'lacks (docs/studies.md).',
)
_OUTPUT_DIR = flags.DEFINE_string('output_dir', None, 'Folder of the study.')
_SEEDS = flags.DEFINE_integer(
  'seeds', None, "At most so many repeats (default: the scale's).", 1
)
_POWER = flags.DEFINE_bool(
  'power',
  False,
  'Train nothing: print which claims more seeds would decide, from those that '
  'there are (two at least, as of --seeds=2).',
)
_LIST = flags.DEFINE_bool('list', False, 'Print the missing runs.')
_DRAW_ONLY = flags.DEFINE_bool('draw_only', False, 'Train nothing.')
_MORE_RUNS = flags.DEFINE_list(
  'more_runs',
  [],
  'With --draw_only or --power: other folders or buckets that have runs of the '
  'study, as --list has spread them; of two with the same, the first is taken.',
)
_NUM_PROCESSES = flags.DEFINE_integer(
  'num_processes',
  0,
  'Runs or comparisons at a time; 0: one a core where networks are small, 1 at '
  'scale=paper.',
  0,
  256,
)
_PRUNE = flags.DEFINE_bool(
  'prune',
  None,
  'Delete the checkpoints that no figure needs any more (default: not at '
  'scale=paper).',
)

flags.adopt_module_key_flags(time_limit)
flags.adopt_module_key_flags(cluster_flags)
flags.adopt_module_key_flags(plan_flags)

_MOST_PROCESSES = 8  # If not asked for: each takes 1 to 2 GiB of memory.


def main(_) -> None:
  from transfusion_tf.paper import runs
  from transfusion_tf.paper import scales

  cluster_flags.leave_gpus()
  scale = scales.named(_SCALE.value, _QUICK.value)
  if _SHUFFLE_LABELS.value:
    scale = scales.control(scale)
  if _DETERMINISTIC.value:
    scale = scales.deterministic(scale)
  cluster_flags.check(forecasts=False)
  whole = scale
  if _SEEDS.value:
    scale = scales.with_seeds(scale, _SEEDS.value)
  plans = runs.plans(_TARGET.value, scale)
  if not _TARGET.value:
    raise errors.InputError('--target names no table or figure')
  root = _OUTPUT_DIR.value
  trains_nothing = _DRAW_ONLY.value or _POWER.value or plan_flags.PLAN.value
  if not root or not (_DATA_DIR.value or trains_nothing):
    raise errors.InputError(
      'give --output_dir, the folder of the study, and --data_dir, that of '
      'the prepared data sets'
    )
  if any(map(storage.is_remote, [root, *_MORE_RUNS.value])):
    startup.import_tensorflow()  # Its client reads buckets.
  if _MORE_RUNS.value and not (_DRAW_ONLY.value or _POWER.value):
    raise errors.InputError(
      '--more_runs is read with --draw_only or --power: to train what is '
      'missing, copy the runs below --output_dir'
    )
  if plan_flags.PLAN.value:
    _plan(plans, scale, root)
    return
  runs.claim(root, scale.name)
  runs.check_more(_MORE_RUNS.value, scale.name)
  if _LIST.value:
    _list(plans, scale, root)
    return
  startup.import_tensorflow()
  raw_dir, data_dir = _RAW_DIR.value, _DATA_DIR.value
  if raw_dir and data_dir:
    app.import_data()
    from data import public_sets

    public_sets.prepare(raw_dir, data_dir)
  from transfusion_tf.paper import study
  from transfusion_tf.paper import write_study
  from transfusion_tf.study import process_pool

  if _POWER.value:
    _print_power(study.Study(root, scale, _MORE_RUNS.value))
    return
  failures = {} if _DRAW_ONLY.value else _run_missing(scale, whole, root)
  made = study.Study(root, scale, _MORE_RUNS.value)
  texts = write_study.write(made, _TARGET.value)
  print(f'\n{texts}\n')
  print(f'Report: {os.path.join(root, "report.html")}')
  process_pool.check_complete(failures, 'the runs and comparisons')


def _plan(plans, scale, root):
  startup.import_tensorflow()
  from transfusion_tf.cli import reproduce_plan

  data_dir = _DATA_DIR.value or ''
  reproduce_plan.show(plans, scale, root, data_dir, _num_processes())


def _num_processes():
  """Return how many runs are made at a time."""
  few = min(cores.available(), _MOST_PROCESSES)
  # The paper's runs are dear.
  return _NUM_PROCESSES.value or (1 if _SCALE.value == 'paper' else few)


def _list(plans, scale, root):
  from transfusion_tf.paper import costs
  from transfusion_tf.paper import runs
  from transfusion_tf.study import device_costs
  from transfusion_tf.study import files

  device = (
    device_costs.GPU if _SCALE.value == 'paper' else device_costs.TWO_CORES
  )
  missing = [p for p in plans if not files.is_finished(root, p.key)]
  impossible = {p: reason for p in missing if (reason := _too_few_images(p))}
  missing = [p for p in missing if p not in impossible]

  def seconds(plan):
    images = scale.num_validation.get(plan.experiment.data.dataset, 0)
    return costs.seconds(plan.experiment, device, images)

  total = sum(map(seconds, missing))
  print(
    f'# {len(missing)} of {len(plans)} runs are missing: about '
    f'{costs.duration(total)} of {device.name}.'
  )
  for name in runs.weights_files(plans):
    print(
      f'# First: python bin/import_slim.py --model=inception_v3 '
      f'--normalization=imagenet --checkpoint=inception_v3.ckpt '
      f'--output={shlex.quote(os.path.join(root, name))}'
    )
  for stage, group in runs.stages(missing).items():
    print(f'# {stage}')
    for plan in group:
      cost = costs.duration(seconds(plan))
      path = shlex.quote(_flagfile(plan, root))
      print(f'python bin/train.py --flagfile={path}  # {cost}')
  if impossible:
    print(f'# {len(impossible)} runs cannot be made')
  for plan, reason in impossible.items():
    print(f'# {plan.key}: {reason}')


def _too_few_images(plan):
  """Return why a prepared set is too small for a run, or ''."""
  subset, dataset = plan.experiment.data.subset, plan.experiment.data.dataset
  count = _num_train(dataset) if subset else None
  if count is None or subset <= count:
    return ''
  return f'{subset} images of the {count} that {dataset} has to train on'


@functools.cache
def _num_train(dataset):
  """Return the training images of a set on disk; None if it is not there."""
  folder = os.path.join(_DATA_DIR.value or '', dataset)
  paths = datasets.info_files(folder)
  if not paths:
    return None
  configs = {os.path.dirname(os.path.dirname(path)) for path in paths}
  if len(configs) > 1:
    raise errors.InputError(
      f'{folder}: several configs, of which a study can read one: '
      f'{", ".join(sorted(configs))}; give each a --data_dir of its own'
    )
  return datasets.num_examples(max(paths)).get('train')


def _flagfile(plan, root):
  path = os.path.join(root, 'flagfiles', f'{plan.key}.flags')
  text = flagfile.lines(
    plan.at(root, _DATA_DIR.value), plan.recipe, os.path.join(root, plan.key)
  )
  storage.makedirs(os.path.dirname(path))
  storage.write_text(path, text)
  return path


def _run_missing(scale, whole, root):
  from transfusion_tf.paper import run_study

  small = _SCALE.value != 'paper'
  with (
    storage.held(root, 'wait for it or choose another --output_dir'),
    cluster_flags.executor(
      _num_processes(), root, [_DATA_DIR.value]
    ) as executor,
  ):
    runner = run_study.Runner(
      scale,
      root,
      _DATA_DIR.value,
      prune=small if _PRUNE.value is None else _PRUNE.value,
      executor=executor,
      until=time_limit.until(),
      pilot_of=whole,
    )
    return runner.run(_TARGET.value)


def _print_power(study):
  from transfusion_tf.paper import claims
  from transfusion_tf.paper.claims import planning

  table = planning.table(claims.CLAIMS, study)
  print(table.to_string(index=False, float_format='%.2f', na_rep='–'))


def run() -> None:
  """Run the command."""
  app.run(main, dict.fromkeys(plan_flags.NAMES, 'Plan'))

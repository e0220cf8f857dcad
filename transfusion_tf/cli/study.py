r"""Does transfer pay on your data, and how small may the network be?

  python bin/study.py --data=labels.csv --images=IMAGES --output_dir=STUDY \
    --models=cbr_tiny,resnet50,my_nets:small --inits=random,transfer,mean_var \
    --pretrained=cbr_tiny=RUNS/cbr_tiny,resnet50=imagenet --seeds=3

Prepares the images, trains every model from every start with every seed,
compares the networks inside, and ends with a table, report.html and a
recommendation that follows from the intervals by the rule it states. The same
command continues a study that was stopped. A model without pretrained weights
is only trained from random ones. A start may name a stage: transfer@block2,
transfer@all, frozen@block2; lp_ft trains the head first. --learning_rates
chooses the rate of each start on validation. --subsets tells how much data is
enough. --list_sources says which weights and runs this machine has.
--time_limit plans what fits into a time; --plan says what all of it takes.
`study.py --output_dir=STUDY` continues the study of that folder, and with
--more_seeds=3 adds three seeds to it.
"""

import dataclasses
import functools
import os
import time

from absl import flags

from transfusion_tf import config
from transfusion_tf import models
from transfusion_tf import startup
from transfusion_tf import storage
from transfusion_tf.cli import app
from transfusion_tf.cli import cluster_flags
from transfusion_tf.cli import help_text
from transfusion_tf.cli import operating_flags
from transfusion_tf.cli import own_images
from transfusion_tf.cli import plan_flags
from transfusion_tf.cli import pretraining_data
from transfusion_tf.cli import recorded_flags
from transfusion_tf.cli import run_flags
from transfusion_tf.cli import table_flags
from transfusion_tf.cli import time_limit
from transfusion_tf.init import schemes

_DATA = flags.DEFINE_string(
  'data',
  '',
  'Images and labels: a table, a folder of a folder for each class, or what '
  'MedMNIST, Hugging Face, WebDataset or TFDS writes; found by what it is, or '
  'said as table:, folder:, medmnist:, imagefolder:, hf:, webdataset:, tfds:.',
)
_TABLE = flags.DEFINE_string(
  'table', None, 'CSV: a row an image, with labels; or give --dataset.'
)
_IMAGES = flags.DEFINE_string(
  'images',
  None,
  'Where its paths start from (default: with --data, its folder); without a '
  'table, a folder of a folder for each class.',
)
_DATASET = flags.DEFINE_string(
  'dataset', '', 'A prepared data set of --data_dir, in place of a table.'
)
_DATA_DIR = flags.DEFINE_string(
  'data_dir', '', 'Folder of prepared data sets, for --dataset.'
)
_RECIPE = flags.DEFINE_string(
  'recipe', '', run_flags.RECIPE_HELP.format('image_table')
)
_OUTPUT_DIR = flags.DEFINE_string('output_dir', None, 'Folder of the study.')
_LIST_SOURCES = flags.DEFINE_bool(
  'list_sources', False, 'Say which pretrained weights are here, and end.'
)
_MODELS = flags.DEFINE_list(
  'models',
  ['cbr_tiny', 'cbr_small', 'resnet50'],
  f'{", ".join(models.NAMES)}, and your own as package.module:function.',
)
_INITS = flags.DEFINE_list(
  'inits',
  ['random', 'transfer', 'mean_var'],
  f'Initializations: {help_text.either(schemes.names())}. Also up to a stage, '
  'transfer@block2 or transfer@all; frozen, frozen@STAGE; lp_ft.',
)
_LEARNING_RATES = flags.DEFINE_list(
  'learning_rates',
  [],
  'Of each start the one that validates best, e.g. 1e-3,3e-4,1e-4.',
)
_SEEDS = flags.DEFINE_integer('seeds', 3, 'Runs of each.', 1, 1000)
_SUBSETS = flags.DEFINE_list(
  'subsets',
  [],
  'How much data is enough: numbers of training patients (images, where none '
  'are known) to train on as well as on all, e.g. 50,100,200.',
)
flags.DEFINE_integer(
  'more_seeds',
  None,
  'Add so many to the study in --output_dir, which has its other flags.',
  1,
  1000,
)
_PRETRAINED = flags.DEFINE_list(
  'pretrained',
  [],
  'MODEL=WEIGHTS: a run folder, a weights file, package.module:function or '
  'imagenet (the default of resnet50 and inception_v3). Several of a model are '
  'compared, by name: MODEL=NAME:WEIGHTS.',
)
_PRETRAINED_INPUT = flags.DEFINE_list(
  'pretrained_input',
  [],
  'KIND, MODEL=KIND or MODEL:NAME=KIND: the --normalization that the weights '
  'of --pretrained were trained on, where they do not tell.',
)
_PRETRAIN_ON = flags.DEFINE_string(
  'pretrain_on',
  '',
  'To pretrain the other models on first: a prepared data set, DATA_DIR/NAME, '
  'or whatever --data takes, such as tfds:cifar10.',
)
_PRETRAIN_RECIPE = flags.DEFINE_string(
  'pretrain_recipe', 'image_table', 'Settings of that pretraining.'
)
_MARGIN = flags.DEFINE_float(
  'margin', 0.01, 'The smallest difference in test score that matters.', 0, 1
)
_PROBES = flags.DEFINE_bool(
  'probes',
  True,
  'Probe the features of every network first: an answer within minutes.',
)
_LOCATE_BENEFIT = flags.DEFINE_bool(
  'locate_benefit',
  True,
  'Afterwards, score networks with a stage put back, and between two seeds.',
)
flags.adopt_module_key_flags(table_flags)
flags.adopt_module_key_flags(operating_flags)
flags.adopt_module_key_flags(time_limit)
flags.adopt_module_key_flags(cluster_flags)
flags.adopt_module_key_flags(plan_flags)
_ON_BAD = flags.DEFINE_enum(
  'on_bad', 'fail', ['fail', 'skip'], 'What to do about bad images.'
)
_SPLIT_SEED = flags.DEFINE_integer(
  'split_seed', 0, 'Seed of the splits that are drawn.', lower_bound=0
)
_EPOCHS = flags.DEFINE_integer(
  'epochs',
  None,
  "At most, each evaluated (default: the recipe's, 30, in 500 steps or more).",
  1,
  100_000,
)
_PRETRAIN_EPOCHS = flags.DEFINE_integer(
  'pretrain_epochs', None, "At most (default: the recipe's, 30).", 1, 100_000
)
_RUN_FLAGS = (
  'image_size',
  'patience',
  'patience_stderr',
  'min_steps',
  'batch_size',
  'learning_rate',
  'normalization',
  'shuffle_labels',
  'strategy',
  'primary_metric',
)
run_flags.define(__name__, _RUN_FLAGS, config.IMAGE_TABLE)
_NUM_PROCESSES = flags.DEFINE_integer(
  'num_processes', 1, 'Runs at a time, for small networks on CPUs.', 1, 256
)
_PUBLISHED = ('resnet50', 'inception_v3')  # Models with weights of ImageNet.
_HEADINGS = {
  'Comparison': 'models inits learning_rates seeds more_seeds subsets '
  'pretrained '
  'pretrained_input list_sources pretrain_on pretrain_recipe margin '
  'primary_metric specificity sensitivity probes locate_benefit',
  'Data': 'data table images name dataset data_dir',
  'Table': 'path_column label_columns label_kind label_separator '
  'ignore_columns majority classes patient_column join_patients '
  'split_column split_seed test_list test_csv subgroup_columns fundus on_bad',
  'Plan': ' '.join(plan_flags.NAMES),
  'Training': 'recipe image_size epochs pretrain_epochs patience '
  'patience_stderr min_steps batch_size learning_rate normalization '
  'shuffle_labels strategy num_processes time_limit',
  'Cluster': 'cluster run_cpus run_gpus run_nodes run_resources',
}
_GROUPS = {
  flag: heading for heading, row in _HEADINGS.items() for flag in row.split()
}


def main(_) -> None:
  began = time.monotonic()
  cluster_flags.leave_gpus()
  startup.import_tensorflow()
  if _LIST_SOURCES.value:
    from transfusion_tf.cli import list_sources

    for line in list_sources.lines(_OUTPUT_DIR.value):
      print(line)
    return
  from transfusion_tf.study import checks
  from transfusion_tf.study import time_limits

  command = recorded_flags.Command(_OUTPUT_DIR.value or '', __name__)
  limit = time_limits.Limit(time_limit.seconds(), began)
  root = command.root
  print(f'Study: {root}')
  cluster_flags.check(forecasts=True)
  settings = _check_flags(root)
  data_dir, dataset = _data(root)
  prepared = _check_data(data_dir, dataset)
  plan = _plan(root, data_dir, dataset, settings)
  _check_primary(prepared, plan.base)
  for experiment in filter(None, (plan.base, plan.pretraining)):
    _note_enlarged(experiment)
  plan = dataclasses.replace(
    plan, subsets=_subsets(prepared, plan.base, dataset)
  )
  plan = checks.check(plan, root)
  if plan_flags.PLAN.value:
    from transfusion_tf.cli import study_plan

    study_plan.show(plan, root, _NUM_PROCESSES.value)
    return
  functions = [*plan.models, *_sources(plan)]
  with (
    storage.held(root, 'wait for it or choose another --output_dir'),
    cluster_flags.executor(
      _NUM_PROCESSES.value, root, _data_dirs(plan), functions
    ) as executor,
  ):
    command.begin()
    _carry_out(command, plan, limit, prepared, executor)


def _sources(plan):
  return [path for names in plan.sources.values() for path in names.values()]


def _data_dirs(plan):
  parts = [part for part in (plan.base, plan.pretraining) if part]
  return list(dict.fromkeys(part.runtime.data_dir for part in parts))


def _carry_out(command, plan, limit, prepared, executor):
  """Probe, train, compare and report."""
  from transfusion_tf.study import conclusion
  from transfusion_tf.study import files
  from transfusion_tf.study import outcome
  from transfusion_tf.study import probe_page
  from transfusion_tf.study import process_pool
  from transfusion_tf.study import rates
  from transfusion_tf.study import runner
  from transfusion_tf.study import study_page
  from transfusion_tf.study import time_forecast
  from transfusion_tf.study import time_limits

  root, dataset = command.root, plan.base.data.dataset
  probe = functools.partial(probe_page.run, plan, root, dataset, executor)
  probing = time.monotonic()
  waiting = _PROBES.value and probe(study_page.partial_report(root))
  machine = time_forecast.Machine(
    root,
    _NUM_PROCESSES.value,
    _LOCATE_BENEFIT.value,
    # Probing again takes as long.
    time.monotonic() - probing if waiting else 0.0,
  )
  plan, until = time_limits.fit(plan, machine, limit, command.continues)
  train = functools.partial(
    runner.train,
    root=root,
    executor=executor,
    refused=plan.refused,
    until=until,
  )
  if trials := _by_key(plan.trials(root)):
    print(f'{len(trials)} runs to choose learning rates')
    train(trials)
  choices = rates.choose(plan, root)
  plan = rates.applied(plan, choices)
  planned = _by_key(plan.all_runs(root))
  print(f'{len(planned)} runs; if stopped, the same command continues')
  failures = train(planned)
  left_out = files.unfinished(root, planned, failures) if limit.is_set else ()
  results = outcome.read(plan, root, failures, choices, left_out)
  if waiting:
    probe()  # Of the weights that the study itself has trained.
  not_made = conclusion.write(
    results,
    root,
    dataset,
    _MARGIN.value,
    prepared.subgroups,
    operating_flags.targets(),
    _LOCATE_BENEFIT.value,
    executor,
  )
  command.end(plan.num_seeds)
  failures = {failure.key: failure.reason for failure in results.failures}
  process_pool.check_complete(failures, f'{len(planned)} runs')
  process_pool.check_complete(not_made, 'the comparisons')


def _by_key(runs):
  return {run.key: run.experiment for run in runs}


def _check_flags(root):
  """Refuse what is wrong whatever the images are; return the plan's fields."""
  from transfusion_tf.input_pipeline import normalization
  from transfusion_tf.study import checks
  from transfusion_tf.study import plan as plan_lib
  from transfusion_tf.study import sources as sources_lib
  from transfusion_tf.study import subsets

  subsets.parse(_SUBSETS.value)
  base = run_flags.recipe(_RECIPE.value, _DATASET.value, 'image_table')
  checks.check_names(_MODELS.value)
  sources = sources_lib.parse(_PRETRAINED.value, _MODELS.value)
  checks.check_sources(sources, root)
  inputs = _inputs(sources)
  for kind in inputs.values():
    normalization.kind(kind, 'pretrained_input')
  pretraining = None
  if _PRETRAIN_ON.value:
    pretraining = run_flags.recipe(_PRETRAIN_RECIPE.value, '', 'image_table')
  else:
    published = {m: {'imagenet': 'imagenet'} for m in _PUBLISHED}
    sources = published | sources
  settings = {
    'models': tuple(_MODELS.value),
    'starts': tuple(_INITS.value),
    'num_seeds': _SEEDS.value,
    'sources': sources,
    'inputs': inputs,
    'rates': _rates(),
  }
  # Refuses what does not fit together.
  plan_lib.Plan(base=base, pretraining=pretraining, **settings)
  return settings


def _rates():
  """Return the learning rates to choose from; one alone is none to choose."""
  from transfusion_tf import errors

  try:
    rates = tuple(map(float, _LEARNING_RATES.value))
  except ValueError as error:
    raise errors.InputError(f'--learning_rates: {error}') from None
  for rate in rates:
    config.check(
      config.override(config.IMAGE_TABLE, {'optimizer.learning_rate': rate})
    )
  if rates and flags.FLAGS.learning_rate and len(rates) == 1:
    raise errors.InputError(
      '--learning_rates and --learning_rate: give one of them'
    )
  return rates


def _data(root):
  """Return the folder of the study's data set, and its name."""
  from transfusion_tf import errors

  if _DATASET.value and _DATA_DIR.value:
    return _DATA_DIR.value, _DATASET.value
  if _DATA.value and (_DATASET.value or _DATA_DIR.value):
    raise errors.InputError(
      '--data is raw, --dataset and --data_dir name a prepared set: give one'
    )
  made = os.path.join(root, 'data')
  if given := own_images.given(_DATA.value, _TABLE.value, _IMAGES.value, made):
    if ready := given.ready:
      print(f'{given.path} is prepared: used as it is')
      return ready
    plan_flags.check_prepared(made)
    return made, own_images.prepare(
      made,
      given,
      flags.FLAGS.image_size or config.IMAGE_TABLE.data.image_size,
      _ON_BAD.value == 'fail',
      _SPLIT_SEED.value,
    )
  raise errors.InputError(f'give {recorded_flags.DATA}')


def _check_data(data_dir, dataset):
  """Refuse what no run can learn from; say what cannot be scored.

  Returns:
    The data set.
  """
  from transfusion_tf.input_pipeline import label_counts
  from transfusion_tf.input_pipeline import tfds_folder

  prepared = tfds_folder.open_dataset(data_dir, dataset)
  label_counts.check_trainable(prepared)
  for note in label_counts.notes(prepared):
    print(f'note: {note}')
  return prepared


def _check_primary(prepared, base):
  """Refuse a primary metric that the labels do not have."""
  from transfusion_tf import tasks

  task = tasks.make(prepared.label_kind, prepared.label_names, base.data)
  if base.train.primary_metric:
    task.check_primary(base.train.primary_metric)


def _note_enlarged(experiment):
  """Say if a network takes larger pictures than there are."""
  from transfusion_tf.input_pipeline import stored_form
  from transfusion_tf.input_pipeline import tfds_folder

  prepared = tfds_folder.open_dataset(
    experiment.runtime.data_dir, experiment.data.dataset
  )
  if note := stored_form.enlarged(prepared, experiment.data.image_size):
    print(f'note: {note}')


def _plan(root, data_dir, dataset, settings):
  from transfusion_tf.study import plan as plan_lib

  pretraining = None
  if _PRETRAIN_ON.value:
    folder, name = pretraining_data.prepare(
      _PRETRAIN_ON.value, root, _ON_BAD.value == 'fail', _SPLIT_SEED.value
    )
    pretraining = _experiment(
      folder, name, _PRETRAIN_RECIPE.value, _PRETRAIN_EPOCHS.value
    )
    # Its labels may have other metrics.
    pretraining = config.override(pretraining, {'train.primary_metric': ''})
  base = _experiment(data_dir, dataset, _RECIPE.value, _EPOCHS.value)
  if len(settings['rates']) == 1:
    base = config.override(
      base, {'optimizer.learning_rate': settings['rates'][0]}
    )
  return plan_lib.Plan(base=base, pretraining=pretraining, **settings)


def _subsets(prepared, base, dataset):
  """Return the subsets that the study trains on as well."""
  from transfusion_tf.study import subsets

  recipe = run_flags.recipe_name(_RECIPE.value, dataset, 'image_table')
  return subsets.make(prepared, subsets.parse(_SUBSETS.value), base, recipe)


def _inputs(sources):
  """Return the input of each model's weights; one kind alone is of all."""
  from transfusion_tf import errors
  from transfusion_tf.study import sources as sources_lib

  texts = _PRETRAINED_INPUT.value
  if texts and not sources:
    raise errors.InputError(
      '--pretrained_input is for the weights of --pretrained; give them too'
    )
  if len(texts) == 1 and '=' not in texts[0]:
    texts = [f'{model}={texts[0]}' for model in sources]
  return sources_lib.parse_inputs(texts, sources)


def _experiment(data_dir, dataset, recipe, epochs):
  """Return a run by a recipe and the flags that change it.

  Where its length is in epochs, it is evaluated after each of them.
  """
  from transfusion_tf.input_pipeline import tfds_folder
  from transfusion_tf.run import table_recipe

  opened = tfds_folder.open_dataset(data_dir, dataset)
  num_examples = opened.num_examples(tfds_folder.TRAIN)
  given = run_flags.changes(_RUN_FLAGS)
  name = run_flags.recipe_name(recipe, dataset, 'image_table')
  changes = {
    'data.dataset': dataset,
    'runtime.data_dir': data_dir,
    'runtime.keep_checkpoints': 1,
    **given,
  }
  experiment = table_recipe.fit(name, num_examples, changes)
  epoch = max(1, num_examples // experiment.train.batch_size)
  if epochs or not experiment.train.train_steps:
    epochs = epochs or experiment.train.train_epochs
    changes |= {
      'train.train_steps': round(epochs * epoch),
      'train.eval_every': epoch,
    }
    experiment = table_recipe.fit(name, num_examples, changes)
  return config.override(experiment, table_recipe.fair(experiment, given))


def run() -> None:
  """Run the command."""
  flags.register_multi_flags_validator(
    ['output_dir', 'list_sources'],
    lambda values: values['list_sources'] or values['output_dir'],
    'Flag --output_dir must have a value.',
  )
  app.run(main, _GROUPS)

"""What can be known of a study before its first run, and stops it then.

Every network is built once, at its size and with its outputs, and every source
of pretrained weights is read and fitted to it: no run should be needed to find
a misspelled path. What is finished is not checked: a network whose code is gone
keeps its scores.
"""

from collections.abc import Iterable
import dataclasses
import os

import keras

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import init
from transfusion_tf import models
from transfusion_tf import run_folder
from transfusion_tf import startup
from transfusion_tf import storage
from transfusion_tf import tasks
from transfusion_tf.input_pipeline import tfds_folder
from transfusion_tf.models import custom
from transfusion_tf.run import network as network_lib
from transfusion_tf.study import files
from transfusion_tf.study import plan as plan_lib
from transfusion_tf.study import sources as sources_lib


def check_names(plan_models: Iterable[str]) -> None:
  """Raise an InputError if there is no network of a name."""
  for name in plan_models:
    if custom.is_custom(name):
      custom.function(name)
    elif name not in models.NAMES:
      known = [*models.NAMES, 'package.module:function']
      raise errors.unknown('model', name, known)


def check_sources(sources: sources_lib.Sources, root: str) -> None:
  """Raise an InputError if weights do not exist, and no run will make them."""
  for model in sources.values():
    for source in model.values():
      if not _is_inside(source, root):
        sources_lib.check_exists(source)


def check(plan: plan_lib.Plan, root: str) -> plan_lib.Plan:
  """Return a plan with the stages of its networks; see the module docstring.

  Raises:
    InputError: A network cannot be built, weights do not fit it, a start names
      a stage that no network has, or a folder below `root` holds runs that
      began with other weights.
  """
  data = plan.base.data
  prepared = tfds_folder.open_dataset(plan.base.runtime.data_dir, data.dataset)
  task = tasks.make(prepared.label_kind, prepared.label_names, data)
  networks: dict[str, keras.Model] = {}
  for model in plan.models:
    try:
      networks[model] = network_lib.build_model(
        plan.experiment(model), len(task.names)
      )
    except Exception as error:  # Whatever a user's network does.
      if not storage.exists(os.path.join(root, plan_lib.folder(model))):
        raise errors.InputError(startup.report_error(error)) from None
  plan = dataclasses.replace(
    plan,
    stages={
      model: models.stages_of(network).names
      for model, network in networks.items()
    },
  )
  planned = [*plan.trials(root), *plan.all_runs(root)]
  _check_same_weights(planned, root)
  missing = [run for run in planned if not files.is_finished(root, run.key)]
  for model, network in networks.items():
    if any(run.experiment.model.name == model for run in missing):
      if reason := plan.refused.get(model):
        raise errors.InputError(f'{model}: {reason}')
      _check_weights(model, network, missing, root)
  return plan


def _check_weights(model, network, missing, root):
  """Read each source of a model, and fit it to the network."""
  stages = models.stages_of(network)
  fitted: dict[str, init.types.WeightSource] = {}
  for run in missing:
    settings, experiment = run.experiment.init, run.experiment
    if experiment.model.name != model or not settings.pretrained:
      continue
    if _is_inside(settings.pretrained, root):
      continue
    if settings.pretrained not in fitted:
      source = init.weights.load(
        settings.pretrained,
        network,
        experiment.data.normalization,
        settings.pretrained_input,
      )
      fitted[settings.pretrained] = source
      scheme = init.schemes.transfer(source)
      report = init.apply(network, scheme, stages, seed=0)
      init.check_transferred(report, source, network)
    init.from_config(settings, fitted[settings.pretrained], stages)


def _check_same_weights(planned, root):
  """Refuse runs that began with other weights than the plan now gives them.

  Folders may have moved: the last part of a path is compared.
  """
  for run in planned:
    path = os.path.join(root, run.key, run_folder.CONFIG)
    if not storage.exists(path):
      continue
    began = config.load(path).init.pretrained
    now = run.experiment.init.pretrained
    if os.path.basename(began) != os.path.basename(now):
      raise errors.InputError(
        f'{os.path.join(root, run.key)} began with the weights {began}, not '
        f'{now}: give another --output_dir, or both sources: '
        f'--pretrained={run.experiment.model.name}={began},'
        f'{run.experiment.model.name}={now}'
      )


def _is_inside(source, root):
  """Return whether weights are a run of the study, which may not exist yet."""
  run_dir, _ = run_folder.split_checkpoint(source)
  return os.path.normpath(run_dir).startswith(
    os.path.join(os.path.normpath(root), '')
  )

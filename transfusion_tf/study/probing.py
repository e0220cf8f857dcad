"""Probes the networks of a study: what features tell of its labels.

Every network of the study is probed with the weights of each of its pretrained
sources, and with random weights of several seeds beside them. What is there
(`probe_files`) is not computed again.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import functools
import hashlib
import json
import os
from typing import Any

import numpy as np
import tensorflow as tf
import threadpoolctl

from transfusion_tf import config
from transfusion_tf import init
from transfusion_tf import startup
from transfusion_tf import storage
from transfusion_tf import tasks
from transfusion_tf.analysis import probes
from transfusion_tf.analysis import stage_features
from transfusion_tf.input_pipeline import tfds_folder
from transfusion_tf.models import fingerprint
from transfusion_tf.run import build as run_lib
from transfusion_tf.study import executors
from transfusion_tf.study import files
from transfusion_tf.study import plan as plan_lib
from transfusion_tf.study import probe_files

RANDOM = plan_lib.RANDOM
# Of random weights; another one costs a pass over the images.
NUM_RANDOM = 5
# Images of a split that are taken, evenly spaced: the first answer is one of
# minutes for large sets, too.
MOST_IMAGES = 2_000
_FORMAT = 1  # Of the files; another one is computed anew.
# Of `config.Data`, what decides how an image is evaluated.
_PREPARATION = ('image_size', 'eval_crop', 'eval_square', 'normalization')


def run(
  plan: plan_lib.Plan,
  root: str,
  executor: executors.Executor = executors.HERE,
) -> dict[str, str]:
  """Probe the networks of a plan; return what could not be probed, and why.

  Sources that are runs of the study are probed once these are finished
  (`waiting`): this may be called again.

  Args:
    plan: The plan.
    root: Folder of the study.
    executor: Does it, a network a job.
  """
  missing = waiting(plan, root)
  jobs = []
  for model, (experiment, sources) in _networks(plan, root).items():
    weights = [probe_files.Weights(seed=seed) for seed in range(NUM_RANDOM)]
    weights += [each for each in sources if each.pretrained not in missing]
    probe = functools.partial(_probe, experiment, weights, root)
    jobs.append(executors.Job(model, probe, needs=executor.needs(experiment)))
  return {model: error for model, error in executor.run(jobs) if error}


def waiting(plan: plan_lib.Plan, root: str) -> set[str]:
  """Return the sources that are runs of the study and not finished."""
  planned = plan.runs(root)
  sources = {each.experiment.init.pretrained for each in planned}
  return {
    path
    for each in planned
    if (path := os.path.join(root, each.key)) in sources
    and not files.is_finished(root, each.key)
  }


def _networks(
  plan, root
) -> dict[str, tuple[config.Experiment, list[probe_files.Weights]]]:
  """Return model -> its config without initialization, and its sources."""
  networks = {}
  for model in plan.models:
    sources: list[probe_files.Weights] = []
    for start in plan.starts_of(model):
      if start.needs_weights:
        settings = plan.seeds(root, model, start)[0].experiment.init
        source = probe_files.Weights(
          settings.pretrained, settings.pretrained_input, start.source
        )
        if source not in sources:
          sources.append(source)
    plain = {
      'data.subset': 0,
      'runtime.strategy': 'one_device',
    }
    networks[model] = config.override(plan.experiment(model), plain), sources
  return networks


def _probe(
  experiment: config.Experiment,
  weights: Sequence[probe_files.Weights],
  root: str,
) -> None:
  """Probe a network with several sets of weights, and list the files."""
  network = stage_features.Network(run_lib.build(experiment))
  name = plan_lib.folder(experiment.model.name)
  folder = os.path.join(root, probe_files.FOLDER, name)
  records = []
  for each in weights:
    record = probe_files.Probed(
      experiment.model.name,
      each,
      '',
      metric=network.run.primary_metric,
      stages=network.stages,
    )
    try:
      file = _probe_weights(network, each, folder)
      path = os.path.join(probe_files.FOLDER, name, file)
      record = dataclasses.replace(record, path=path)
    except Exception as error:  # Whatever a user's file or function does.
      record = dataclasses.replace(record, reason=startup.report_error(error))
    records.append(dataclasses.asdict(record))
  storage.write_json(f'{folder}.json', records)


def _probe_weights(network, weights, folder) -> str:
  """Return the name of a file, which is computed unless it is there."""
  digest = _digest(network.run, _initialize(network, weights))
  label = 'pretrained' if weights.pretrained else f'{RANDOM}{weights.seed}'
  file_name = f'{label}-{digest}.npz'
  path = os.path.join(folder, file_name)
  if not probe_files.is_readable(path):
    if not weights.pretrained:
      # Those that a random start has at step 0 are of no image.
      network.estimate_statistics()
    arrays = _compute(network)
    with storage.atomic_write(path, 'wb') as file:
      np.savez(file, **arrays)  # type: ignore[arg-type]
  return file_name


def _initialize(network, weights):
  """Assign weights; return a description of all of them."""
  built = network.run
  data, settings = built.experiment.data, config.Init()
  source = None
  if weights.pretrained:
    settings = dataclasses.replace(settings, scheme='transfer')
    source = init.weights.load(
      weights.pretrained,
      built.model,
      data.normalization,
      weights.pretrained_input,
    )
  scheme = init.from_config(
    settings, source, built.stages, built.experiment.model.slim_from
  )
  report = init.apply(built.model, scheme, built.stages, weights.seed)
  network.assign(built.model.get_weights())
  return [(row['path'], row['sha256']) for row in report]


def _digest(built, weights) -> str:
  """Return a hash of all that features and scores depend on."""
  data = built.experiment.data
  content = [
    _FORMAT,
    MOST_IMAGES,
    built.source.prepared.fingerprint,
    tasks.to_json(built.task),
    built.primary_metric,
    data.shuffle_labels,
    [getattr(data, name) for name in _PREPARATION],
    fingerprint.describe(built.model),
    weights,
  ]
  text = json.dumps(content, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()[:16]


def _compute(network: stage_features.Network) -> dict[str, np.ndarray]:
  """Return the arrays of a file."""
  built = network.run
  prepared, task = built.source.prepared, built.task
  test = prepared.scored_split
  names = (tfds_folder.TRAIN, tfds_folder.VALIDATION, test)
  every = {
    split: stage_features.spacing(prepared.num_examples(split), MOST_IMAGES)
    for split in names
  }
  features = {
    split: network.features(split, every[split])
    for split in dict.fromkeys(names)
  }
  labels = {
    split: tf.nest.map_structure(
      lambda values, n=every[split]: np.asarray(values)[::n],
      built.labels(split),
    )
    for split in features
  }
  arrays = {
    f'features/{split}/{stage}': values
    for split, stages in features.items()
    for stage, values in stages.items()
  }
  index = prepared.index(test)
  arrays['patient_id'] = index.patient_ids[:: every[test]].astype(str)
  targets = {split: _targets(task, each) for split, each in labels.items()}
  arrays['targets'] = targets[tfds_folder.TRAIN]
  exclusive = isinstance(task, tasks.Classes)
  arrays['exclusive'] = np.array(exclusive)
  for stage in network.stages:
    arrays[f'widths/{stage}'] = np.array(features[test][stage].shape[1])
    train, validation = (
      probes.Examples(features[split][stage], targets[split])
      for split in names[:2]
    )
    for name, probe in probes.PROBES.items():
      # Several threads wait for one another on matrices as small as these:
      # twenty times as long.
      with threadpoolctl.threadpool_limits(1):
        answer = probe(
          train,
          validation,
          features[test][stage],
          exclusive=exclusive,
        )
      arrays[f'settings/{name}/{stage}'] = np.array(answer.setting)
      arrays[f'validation/{name}/{stage}'] = np.array(answer.validation)
      arrays |= {
        f'scores/{name}/{stage}/{column}': values
        for column, values in _columns(
          task, answer.probabilities, labels[test]
        ).items()
      }
  return arrays


def _targets(task, labels) -> np.ndarray:
  """Return targets [N, K], NaN where masked."""
  targets, mask = (tensor.numpy() for tensor in task.targets(labels))
  return np.where(mask, targets, np.nan)


def _columns(task, probabilities, labels) -> Mapping[str, Any]:
  scored = task.metrics(probabilities, labels)
  return dict(zip(task.names, probabilities.T, strict=True)) | {
    column: np.asarray(values)
    for name, metric in scored.items()
    for column, values in metric.columns(name).items()
  }

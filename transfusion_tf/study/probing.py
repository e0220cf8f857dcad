"""The probes of a study: what features tell of its labels before training.

Every network of the study is probed with the weights of each of its pretrained
sources, and with random weights of several seeds beside them. What is computed
is kept, a file for each set of weights:

  STUDY/probes/MODEL.json                 the files, or why there is none
  STUDY/probes/MODEL/WEIGHTS-DIGEST.npz   features/SPLIT/STAGE  [N, D]
                                          scores/PROBE/STAGE/COLUMN  [N], of the
                                          test images, as in test_scores.csv
                                          settings/PROBE/STAGE, widths/STAGE
                                          targets  [N, K], of training

The digest is of all that the content depends on: data, preparation of images,
network, weights. What is there is not computed again.
"""

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import functools
import hashlib
import io
import json
import os
from typing import Any
import zipfile

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
from transfusion_tf.study import files
from transfusion_tf.study import plan as plan_lib
from transfusion_tf.study import process_pool

FOLDER = 'probes'
RANDOM = plan_lib.RANDOM
# Of random weights; another one costs a pass over the images.
NUM_RANDOM = 5
# Images of a split that are taken, evenly spaced: the first answer is one of
# minutes for large sets, too.
MOST_IMAGES = 2_000
_FORMAT = 1  # Of the files; another one is computed anew.
# Of `config.Data`, what decides how an image is evaluated.
_PREPARATION = ('image_size', 'eval_crop', 'eval_square', 'normalization')
# What reading a damaged file raises.
UNREADABLE = (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile)


@dataclasses.dataclass(frozen=True)
class Weights:
  """A set of weights of a network.

  Attributes:
    pretrained: The source, as in `config.Init`; empty for random weights.
    pretrained_input: As in `config.Init`.
    seed: Seed of what is random: all weights, or the head.
  """

  pretrained: str = ''
  pretrained_input: str = ''
  seed: int = 0


@dataclasses.dataclass(frozen=True)
class Probed:
  """A network's features with one set of weights, as a file.

  Attributes:
    model: The network.
    weights: The weights.
    path: The file; empty if there is none.
    reason: Why not.
    metric: Name of the task's primary metric.
    stages: Names of the stages.
  """

  model: str
  weights: Weights
  path: str
  reason: str = ''
  metric: str = ''
  stages: Sequence[str] = ()

  @functools.cached_property
  def arrays(self) -> dict[str, np.ndarray]:
    """The scores, settings and ids in the file, without the features."""
    with _open(self.path) as file:
      names = [name for name in file.files if not name.startswith('features/')]
      return {name: file[name] for name in names}

  def scores(self, probe: str, stage: str) -> dict[str, np.ndarray]:
    """Return column -> [N], for `metrics.from_columns`."""
    prefix = f'scores/{probe}/{stage}/'
    return {
      name.removeprefix(prefix): values
      for name, values in self.arrays.items()
      if name.startswith(prefix)
    }

  def features(self, split: str, stage: str) -> np.ndarray:
    """Return features [N, D]."""
    with _open(self.path) as file:
      return file[f'features/{split}/{stage}']


def run(
  planned: Iterable[plan_lib.PlannedRun], root: str, num_processes: int = 1
) -> dict[str, str]:
  """Probe the networks of a plan; return what could not be probed, and why.

  Sources that are runs of the study are probed once these are finished
  (`waiting`): this may be called again.

  Args:
    planned: The runs.
    root: Folder of the study.
    num_processes: Networks at a time.
  """
  planned = list(planned)
  missing = waiting(planned, root)
  jobs = {}
  for model, (experiment, sources) in _networks(planned).items():
    weights = [Weights(seed=seed) for seed in range(NUM_RANDOM)]
    weights += [each for each in sources if each.pretrained not in missing]
    jobs[model] = functools.partial(_probe, experiment, weights, root)
  return {
    model: error
    for model, error in process_pool.each(jobs, num_processes)
    if error
  }


def waiting(planned: Iterable[plan_lib.PlannedRun], root: str) -> set[str]:
  """Return the sources that are runs of the study and not finished."""
  planned = list(planned)
  sources = {each.experiment.init.pretrained for each in planned}
  return {
    path
    for each in planned
    if (path := os.path.join(root, each.key)) in sources
    and not files.is_finished(root, each.key)
  }


def read(root: str) -> list[Probed]:
  """Return what was probed in a study; empty if nothing was."""
  probed = []
  for path in storage.glob(os.path.join(root, FOLDER, '*.json')):
    try:
      records = storage.read_json(path)
      probed += [_read_record(record, root) for record in records]
    except (*UNREADABLE, TypeError) as error:
      print(f'{path} is damaged ({storage.reason(error)}): left out')
  return probed


def _read_record(record, root) -> Probed:
  """Return what a record of the list describes; its path is below `root`."""
  path = record['path'] and os.path.join(root, record['path'])
  weights = Weights(**record['weights'])
  return Probed(**record | {'weights': weights, 'path': path})


def _networks(planned) -> dict[str, tuple[config.Experiment, list[Weights]]]:
  """Return model -> its config without initialization, and its sources."""
  networks: dict[str, tuple[config.Experiment, list[Weights]]] = {}
  for each in filter(plan_lib.is_compared, planned):
    experiment = each.experiment
    plain = config.override(
      experiment,
      {
        'init': config.Init(),
        'seed': 0,
        'data.subset': 0,
        'runtime.strategy': 'one_device',
      },
    )
    _, sources = networks.setdefault(experiment.model.name, (plain, []))
    source = Weights(
      experiment.init.pretrained, experiment.init.pretrained_input
    )
    if source.pretrained and source not in sources:
      sources.append(source)
  return networks


def _probe(
  experiment: config.Experiment, weights: Sequence[Weights], root: str
) -> None:
  """Probe a network with several sets of weights, and list the files."""
  network = stage_features.Network(run_lib.build(experiment))
  name = plan_lib.folder(experiment.model.name)
  folder = os.path.join(root, FOLDER, name)
  records = []
  for each in weights:
    record = Probed(
      experiment.model.name,
      each,
      '',
      metric=network.run.task.primary_metric,
      stages=network.stages,
    )
    try:
      file = _probe_weights(network, each, folder)
      path = os.path.join(FOLDER, name, file)
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
  if not _is_readable(path):
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
  test = _test_split(prepared)
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


def _test_split(prepared) -> str:
  return (
    tfds_folder.TEST
    if tfds_folder.TEST in prepared.splits
    else tfds_folder.VALIDATION
  )


def _targets(task, labels) -> np.ndarray:
  """Return targets [N, K], NaN where masked."""
  targets, mask = (tensor.numpy() for tensor in task.targets(labels))
  return np.where(mask, targets, np.nan)


def _columns(task, probabilities, labels) -> Mapping[str, Any]:
  scored = task.metrics(probabilities, labels)
  return {
    column: np.asarray(values)
    for name, metric in scored.items()
    for column, values in metric.columns(name).items()
  }


def _open(path):
  return np.load(io.BytesIO(storage.read_bytes(path)))


def _is_readable(path) -> bool:
  if not storage.exists(path):
    return False
  try:
    with _open(path) as file:
      return bool(file.files)
  except Exception:  # A damaged archive raises almost anything.
    return False

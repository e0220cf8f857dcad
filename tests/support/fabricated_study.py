"""Run folders of a whole study, made up from a model of what might come out.

What is written is what training and comparing write; only the numbers are
drawn. `PAPERLIKE` follows the paper, `NULL` learns nothing.
"""

from collections.abc import Callable
import dataclasses
import json
import pathlib

import numpy as np
import pandas as pd
from sklearn import metrics as sklearn_metrics

from transfusion_tf import config
from transfusion_tf.init import gabor
from transfusion_tf.models import registry
from transfusion_tf.paper import cca_pairs
from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import initializations
from transfusion_tf.paper import runs
from transfusion_tf.paper import scales
from transfusion_tf.study import results

NUM_PATIENTS, STEPS = 150, (0, 20, 40, 60, 80, 100)


@dataclasses.dataclass(frozen=True)
class World:
  """How good a run gets, how fast, and how alike its networks are.

  Attributes:
    separation: Plan -> distance of the classes' scores in deviations.
    speed: Plan -> share of the way that a step of the curve goes.
    similarity: Comparison, stage number of how many -> CCA.
    follows: Model, stage -> whether similarity before tells that after.
    erases: Whether training replaces Gabor filters.
    steps: Steps at which runs are evaluated, to their end.
  """

  separation: Callable[[runs.PlannedRun], float]
  speed: Callable[[runs.PlannedRun], float]
  similarity: Callable[[cca_pairs.Comparison, int, int], float]
  follows: Callable[[str, str], bool] = lambda model, stage: (
    (model, stage) == ('resnet50', 'conv1')
  )
  erases: bool = True
  steps: tuple[int, ...] = STEPS


def _speed(plan):
  init = plan.experiment.init
  if plan.experiment.model.slim_from:
    return 0.9 if init.scheme == 'transfer' else 0.15
  if init.upto:
    order = registry.stages(plan.experiment.model.name)
    return 0.6 + 0.3 * order.index(init.upto) / len(order)
  if init.conv1 == 'gabor':
    return 0.6
  return {'random': 0.25, 'transfer': 0.9}.get(init.scheme, 0.6)


def _separation(plan):
  init = plan.experiment.init
  if init.freeze_upto:
    depth = registry.stages(plan.experiment.model.name).index(init.freeze_upto)
    cost = 0.5 if init.scheme == 'random' else 0.05
    return 3.0 - cost * (depth + 1)
  gain = 0.8 if plan.experiment.data.subset == 60 else 0.05
  large = plan.experiment.model.name == 'resnet50'
  return 3.0 + gain * large * (init.scheme == 'transfer')


def _similarity(comparison, stage, count):
  depth = stage / count
  a, b = comparison.a, comparison.b
  large = comparison.model in ('resnet50', 'inception_v3')
  if a.checkpoint != b.checkpoint:
    return (0.9 if large else 0.6) - 0.3 * depth
  if a.initialization == b.initialization == initializations.TRANSFER:
    return 0.9 - 0.65 * depth
  return (
    0.6
    - 0.3 * depth
    - (0.1 if large and a.initialization != b.initialization else 0)
  )


PAPERLIKE = World(_separation, _speed, _similarity)
NULL = World(lambda _: 0.0, lambda _: 0.5, lambda *_: 0.3, erases=False)


def write(root, scale=scales.DEMO, world=PAPERLIKE, seed=0):
  """A whole study below `root`."""
  for number, plan in enumerate(runs.plans(['all'], scale)):
    write_run(root / plan.key, plan, world, [seed, number])
  wanted = cca_pairs.required(figure_specs.targets(), scale)
  for number, comparison in enumerate(wanted):
    write_similarity(root, comparison, [seed, 10_000 + number], world)


def write_run(run_dir, plan, world, seed=0):
  rng = np.random.default_rng(seed)
  run_dir.mkdir(parents=True)
  scores, found = _scores(plan, world.separation(plan), rng)
  scores.to_csv(run_dir / 'test_scores.csv', index=False)
  rows = _curve(found, world.speed(plan), world.steps, rng)
  lines = ''.join(json.dumps(row) + '\n' for row in rows)
  (run_dir / 'metrics.jsonl').write_text(lines)
  config.save(plan.experiment, run_dir / 'config.json')
  np.savez(run_dir / 'conv1.npz', **_filters(plan, world.erases, rng))
  result = {
    'headline': next(iter(found)),
    'test': {
      k: {'value': v, 'low': v - 0.03, 'high': v + 0.03}
      for k, v in found.items()
    },
    'num_test': len(scores),
    'num_train': 540,
    'judged_step': world.steps[-1],
    'last_step': world.steps[-1],
    'trainable_parameters': 1_000_000,
    'seconds': 10.0,
    'versions': {'tensorflow': '2.21.0'},
  }
  (run_dir / 'result.json').write_text(json.dumps(result))


def _scores(plan, separation, rng):
  labels = np.random.default_rng(0)
  patients = np.repeat([f'p{n}' for n in range(NUM_PATIENTS)], 2)
  columns = {'image_id': np.arange(len(patients)), 'patient_id': patients}
  dataset = plan.experiment.data.dataset
  if dataset in ('natural', 'imagenet2012'):
    top5 = {'resnet50': 0.92, 'inception_v3': 0.94, 'cbr_small': 0.68}
    value = top5.get(plan.experiment.model.name, 0.75)
    return pd.DataFrame(columns), {'top1': 0.5, 'top5': value}
  names = ('referable',) if dataset == 'retina' else config.CHEXPERT_FINDINGS
  found = {}
  # What makes an image hard is the same for all networks.
  shared = labels.normal(size=len(patients))
  for name in names:
    label = labels.random(len(patients)) < 0.4
    noise = np.sqrt(0.8) * shared + np.sqrt(0.2) * rng.normal(size=len(label))
    score = (separation + rng.normal(0, 0.02)) * label + (
      noise if separation else rng.normal(size=len(label))
    )
    columns |= {f'{name}:label': label.astype(float), f'{name}:score': score}
    found[name] = float(sklearn_metrics.roc_auc_score(label, score))
  if dataset == 'chexpert':
    found = {'mean': float(np.mean(list(found.values())))} | found
  return pd.DataFrame(columns), found


def _curve(found, speed, steps, rng):
  for number, step in enumerate(steps):
    way = 1 - (1 - speed) ** number
    noise = rng.normal(0, 0.004)
    yield {
      'step': step,
      'loss': None if not step else 1 / step,
      'learning_rate': 0.001,
      'validation': {
        name: 0.5 + (value - 0.5) * way + noise for name, value in found.items()
      },
    }


def _filters(plan, erases, rng):
  size = 5 if plan.experiment.model.name == 'cbr_tiny' else 7
  noise = rng.normal(size=(2, size, size, 3, 32))
  if plan.experiment.init.scheme == 'transfer':
    bank = np.moveaxis(gabor.bank()[16:48, :size, :size], 0, -1)[:, :, None]
    for kernel in noise if not erases else noise[:1]:
      kernel *= 0.2
      kernel += bank / bank.std()
  return {'before': noise[0], 'after': noise[1]}


def write_similarity(root, comparison, seed=0, world=PAPERLIKE):
  rng = np.random.default_rng(seed)
  stages = registry.stages(comparison.model)
  if comparison.model == 'inception_v3':
    stages = ('Mixed_5d', 'Mixed_6e', 'Mixed_7c')
  dots = np.random.default_rng(sum(map(ord, comparison.model))).normal(
    0, 0.05, (len(stages), 12)
  )
  layers = {}
  for number, layer in enumerate(stages):
    value = world.similarity(comparison, number, len(stages))
    value += rng.normal(0, 0.01)
    follows = world.follows(comparison.model, layer)
    spread = dots[number] if follows else rng.normal(0, 0.05, 12)
    layers[layer] = {
      'mean': value,
      'mean_std': 0.02,
      'noise_floor': {'mean': 0.05},
      'repeats': [{'mean': value + x + rng.normal(0, 0.01)} for x in spread],
    }
  path = pathlib.Path(results.similarity_path(str(root), comparison.key))
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(json.dumps({'layers': layers}))

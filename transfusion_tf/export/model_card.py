"""model_card.md: what an exported network is, and what it is not."""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

import jinja2

from transfusion_tf import config
from transfusion_tf import metrics
from transfusion_tf import run_folder
from transfusion_tf.export import preparation as preparation_lib
from transfusion_tf.image_ops import validate
from transfusion_tf.run import build as run_lib
from transfusion_tf.run import train_and_evaluate

# Settings that are told; those of `runtime` change no result.
_TOLD = ('data.', 'model.', 'init.', 'optimizer.', 'train.', 'seed')


def facts(
  run: run_lib.Run,
  preparation: preparation_lib.Preparation,
  layers: Sequence[str],
  run_dir: str,
  step: int | None,
) -> dict[str, Any]:
  """Return what the card says, from the run, its data and its folder.

  Metrics are told only if they are of the exported checkpoint.

  Args:
    run: The run.
    preparation: What raw files go through.
    layers: Of the signature `activations`.
    run_dir: The run's folder, or empty.
    step: Of the exported checkpoint, or None.
  """
  prepared = run.source.prepared
  dataset = prepared.identity['dataset']
  result, other = {}, {}
  if run_dir:
    result = run_folder.result(run_dir) or {}
    other = run_folder.begun_on_other(run_dir, prepared.fingerprint)
  judged = bool(result) and result['judged_step'] == step
  settings = config.flatten(run.experiment)
  return {
    'model': run.experiment.model.name,
    'parameters': run.model.count_params(),
    'image_size': run.experiment.data.image_size,
    'normalization': run.experiment.data.normalization,
    'task': type(run.task).__name__,
    'classes': run.task.names,
    'headline': run.task.primary_metric,
    'data': other.get('dataset', dataset),
    'prepared_like': dataset if other else '',
    'splits': {} if other else _splits(prepared),
    'published': {} if other else _published(prepared.summary),
    'preparation': preparation.text,
    'layers': layers,
    'step': step,
    'metrics': result['test'] if judged else {},
    'num_test': result.get('num_test'),
    'judged_split': result.get('judged_split'),
    'judged_step': result.get('judged_step'),
    'num_train': result.get('num_train'),
    'settings': {k: v for k, v in settings.items() if k.startswith(_TOLD)},
    'trained_with': result.get('versions', {}),
    'exported_with': train_and_evaluate.versions(),
    'statuses': validate.STATUSES,
  }


def render(told: Mapping[str, Any], exported: Any) -> str:
  """Return the card's text.

  Args:
    told: What `facts` gave.
    exported: The `folder.Exported`.
  """
  environment = jinja2.Environment(
    loader=jinja2.PackageLoader('transfusion_tf.export', 'templates'),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
  )
  environment.filters['cells'] = metrics.cells
  template = environment.get_template('model_card.md')
  return template.render(**told, exported=dataclasses.asdict(exported))


def _published(summary):
  """Return the published numbers of images, if the data set has others."""
  unlike = 'not the published number' in summary.get('problems', {})
  return summary['published'] if unlike else {}


def _splits(prepared):
  """Split -> images, and patients and labels if preparing counted them."""
  counted = prepared.summary.get('splits', {})
  return {
    split: {
      'images': prepared.num_examples(split),
      'patients': counted.get(split, {}).get('patients', '–'),
      'labels': _listed(counted.get(split, {}).get('labels', {})),
    }
    for split in prepared.splits
  }


def _listed(counts):
  """{class: count}, or {finding: {state: count}}, as text."""
  if isinstance(counts, Mapping):
    return '; '.join(f'{name}: {_listed(n)}' for name, n in counts.items())
  return str(counts)

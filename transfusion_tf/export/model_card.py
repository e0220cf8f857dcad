"""model_card.md: what an exported network is, and what it is not."""

from collections.abc import Mapping, Sequence
import pathlib

from transfusion_tf import config
from transfusion_tf import metrics
from transfusion_tf import run_folder
from transfusion_tf import templates
from transfusion_tf.export import preparation as preparation_lib
from transfusion_tf.image_ops import validate
from transfusion_tf.run import build as run_lib
from transfusion_tf.run import train_and_evaluate

_TEMPLATE = pathlib.Path(__file__).parent / 'templates' / 'model_card.md'
# Settings that are listed; those of `runtime` change no result.
_LISTED = ('data.', 'model.', 'init.', 'optimizer.', 'train.', 'seed')


def render(
  run: run_lib.Run,
  preparation: preparation_lib.Preparation,
  layers: Sequence[str],
  run_dir: str,
  step: int | None,
  differences: Mapping[str, float],
  num_checked: int,
) -> str:
  """Return the card's text, from the run, its data and its folder.

  Metrics are shown only if they are of the exported checkpoint.

  Args:
    run: The run.
    preparation: The steps that raw files go through.
    layers: Layers of the signature `activations`.
    run_dir: The run's folder, or empty.
    step: Step of the exported checkpoint, or None.
    differences: File -> largest difference of its probabilities from the run's.
    num_checked: Number of images on which they were compared.
  """
  prepared = run.source.prepared
  dataset = prepared.identity['dataset']
  result, other = {}, {}
  if run_dir:
    result = run_folder.result(run_dir) or {}
    other = run_folder.begun_on_other(run_dir, prepared.fingerprint)
  scored = result.get('test', {}) if result.get('judged_step') == step else {}
  settings = config.flatten(run.experiment)
  return templates.render(
    _TEMPLATE,
    model=run.experiment.model.name,
    parameters=run.model.count_params(),
    image_size=run.experiment.data.image_size,
    window=_window(run.experiment.data),
    window_side=run.source.reader.evaluation_side,
    normalization=run.experiment.data.normalization,
    task=type(run.task).__name__,
    classes=run.task.names,
    primary_metric=run.primary_metric,
    data=other.get('dataset', dataset),
    prepared_like=dataset if other else '',
    splits={} if other else _splits(prepared),
    published={} if other else _published_counts(prepared.summary),
    preparation=preparation.text,
    layers=layers,
    step=step,
    metrics={name: metrics.cells(score) for name, score in scored.items()},
    num_test=result.get('num_test'),
    judged_split=result.get('judged_split'),
    judged_step=result.get('judged_step'),
    num_train=result.get('num_train'),
    settings={k: v for k, v in settings.items() if k.startswith(_LISTED)},
    trained_with=result.get('versions', {}),
    exported_with=train_and_evaluate.versions(),
    statuses=validate.STATUSES,
    differences=differences,
    num_checked=num_checked,
  )


def _window(data):
  """Describe what evaluation sees of a prepared image."""
  if data.eval_square:
    return f'A central square, {data.eval_crop:.1%} of the shorter side'
  if data.eval_crop < 1:
    return f'The central part, {data.eval_crop:.1%} of height and of width'
  return 'The whole image'


def _published_counts(summary):
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
      'labels': _counts_text(counted.get(split, {}).get('labels', {})),
    }
    for split in prepared.splits
  }


def _counts_text(counts):
  """Return {class: count}, or {finding: {state: count}}, as text."""
  if isinstance(counts, Mapping):
    return '; '.join(f'{name}: {_counts_text(n)}' for name, n in counts.items())
  return str(counts)

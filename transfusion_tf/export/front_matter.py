"""The head of a model card, by which Hugging Face and its like sort models.

It is YAML. All values are JSON, of which YAML is a superset, so that no text
of a user's can be taken for anything else.
"""

from collections.abc import Iterable, Mapping
import json
import re
from typing import Any

from transfusion_tf import metrics
from transfusion_tf import shown_text
from transfusion_tf.export import about as about_lib

_TASK = 'image-classification'
_TAGS = (_TASK, 'medical-imaging', 'tensorflow')
# Our metrics by the hub's names; all others are AUCs.
_METRICS = {
  'top1': 'accuracy',
  'top5': 'accuracy',
  'balanced_accuracy': 'accuracy',
  'average_precision': 'average_precision',
  'brier': 'brier_score',
  'brier_skill': 'brier_skill_score',
  'ece': 'expected_calibration_error',
}
_AUC = 'roc_auc'


def render(
  name: str,
  data: str,
  about: about_lib.About,
  scores: Mapping[str, metrics.Summary],
  split: str,
  tags: Iterable[str],
) -> str:
  """Return the front matter, with its rules.

  Args:
    name: The network.
    data: The data set that it was trained and judged on.
    about: What is stated of it.
    scores: Name -> metric on the test images.
    split: Their split.
    tags: More tags, as `keras` and `onnx`.
  """
  # `owner/name` would be taken for a data set of the hub's.
  dataset = re.sub(r'[^\w.-]+', '-', data)
  tags = list(tags)
  fields: dict[str, Any] = {'pipeline_tag': _TASK}
  if 'keras' in tags:
    fields['library_name'] = 'keras'
  fields['tags'] = [*_TAGS, *tags]
  if about.license:
    fields['license'] = about.license_id
  if about.license_id == 'other':
    fields['license_name'] = about.license
  fields['datasets'] = [dataset]
  values = [
    {'type': _METRICS.get(key, _AUC), 'name': key, 'value': score['value']}
    for key, score in scores.items()
    if score['value'] is not None
  ]
  if values:
    fields['metrics'] = sorted({value['type'] for value in values})
    result = {
      'task': {'type': _TASK},
      'dataset': {'type': dataset, 'name': data, 'split': split},
      'metrics': values,
    }
    fields['model-index'] = [{'name': name, 'results': [result]}]
  lines = [f'{key}:{_json(value)}' for key, value in fields.items()]
  return '\n'.join(['---', *lines, '---', ''])


def _json(value):
  """Return a value as JSON; what spans lines is indented, as YAML wants it."""
  value = _printable(value)
  is_simple = isinstance(value, str) or all(isinstance(v, str) for v in value)
  text = json.dumps(
    value, ensure_ascii=False, indent=None if is_simple else 2, allow_nan=False
  )
  return f' {text}' if is_simple else '\n  ' + text.replace('\n', '\n  ')


def _printable(value):
  if isinstance(value, str):
    return shown_text.printable(value)
  if isinstance(value, list):
    return [_printable(v) for v in value]
  if isinstance(value, dict):
    return {_printable(k): _printable(v) for k, v in value.items()}
  return value

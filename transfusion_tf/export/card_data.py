"""What a model card says of the data."""

from collections.abc import Mapping

from transfusion_tf import config
from transfusion_tf.input_pipeline import tfds_folder


def window(data: config.Data) -> str:
  """Describe what evaluation sees of a prepared image."""
  if data.eval_square:
    return f'A central square, {data.eval_crop:.1%} of the shorter side'
  if data.eval_crop < 1:
    return f'The central part, {data.eval_crop:.1%} of height and of width'
  return 'The whole image'


def published_counts(summary: Mapping) -> dict[str, int]:
  """Return the published numbers of images, if the data set has others."""
  unlike = 'not the published number' in summary.get('problems', {})
  return summary['published'] if unlike else {}


def splits(prepared: tfds_folder.PreparedDataset) -> dict[str, dict]:
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

"""Sections of the report on how a study was made, and on the paper."""

from collections.abc import Iterator, Sequence

import pandas as pd

from transfusion_tf.paper import costs
from transfusion_tf.paper import published_values
from transfusion_tf.paper import study as study_lib
from transfusion_tf.study import device_kinds
from transfusion_tf.study import report
from transfusion_tf.study import results


def about(study: study_lib.Study, names: Sequence[str]) -> report.Section:
  """Return size, versions and time of a study."""
  planned = study.planned(names)
  done, _ = results.split(planned)
  spent = sum(run.result.get('seconds', 0) for run in done)
  lines = [
    study.scale.summary,
    f'{len(done)} of {len(planned)} runs are there; their training took '
    f'{costs.duration(spent)}.',
  ]
  versions = {
    ', '.join(f'{k} {v}' for k, v in run.result.get('versions', {}).items())
    for run in done
  }
  lines += [f'Made with {made}.' for made in sorted(versions)]
  lines += filter(None, [device_kinds.used(done)])
  lines.append(
    'Every run folder holds its whole configuration (config.json), what '
    'happened to each weight before training (init.json), one line an '
    'evaluation (metrics.jsonl) and the scores of every test image '
    '(test_scores.csv). Tables, figures and claims follow from these alone.'
  )
  return report.Section('What was run', lines, _settings(done))


def _settings(done):
  """Return a row per kind of run: data, network, size and length."""
  rows = [
    {
      'Data': run.experiment.data.dataset,
      'Network': run.experiment.model.name,
      'Pixels': run.experiment.data.image_size,
      'Batch': run.experiment.train.batch_size,
      'Steps': costs.num_steps(run.experiment),
      'Training images': run.result['num_train'],
      'Test images': run.result['num_test'],
    }
    for run in done
  ]
  if not rows:
    return None
  counted = pd.DataFrame(rows).value_counts(sort=False)
  return counted.rename('Runs').reset_index()


def paper_sections() -> Iterator[report.Section]:
  """Yield where the paper contradicts itself, and where it is silent."""
  contradictions = pd.DataFrame(published_values.read('contradictions'))
  contradictions.columns = ['', 'Where', 'The paper', 'Here']
  yield report.Section(
    'Where the paper contradicts itself',
    table=contradictions,
    part='Paper and code',
  )
  choices = pd.DataFrame(published_values.read('choices'))
  choices.columns = ['The paper is silent on', 'Here']
  yield report.Section('Choices where the paper is silent', table=choices)


def missing_runs(
  study: study_lib.Study, names: Sequence[str]
) -> Iterator[report.Section]:
  """Yield the runs that are missing, if any."""
  _, missing = results.split(study.planned(names))
  if missing:
    rows = [{'Run': m.key, 'Why it is missing': m.reason} for m in missing]
    yield report.Section('Missing runs', table=pd.DataFrame(rows))

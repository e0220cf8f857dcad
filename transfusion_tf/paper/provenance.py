"""What the report says of a study beside its results."""

from collections.abc import Iterator, Sequence

import pandas as pd

from transfusion_tf.paper import costs
from transfusion_tf.paper import published_values
from transfusion_tf.paper import runs
from transfusion_tf.paper import study as study_lib
from transfusion_tf.study import report
from transfusion_tf.study import results


def about(study: study_lib.Study, names: Sequence[str]) -> report.Section:
  """Size, versions and time of a study."""
  plans = runs.plans(names, study.scale)
  found = [study.run(plan.key) for plan in plans]
  done = [run for run in found if isinstance(run, results.Result)]
  spent = sum(run.result.get('seconds', 0) for run in done)
  lines = [
    study.scale.summary,
    f'{len(done)} of {len(plans)} runs are there; their training took '
    f'{costs.duration(spent)}.',
  ]
  versions = {
    ', '.join(f'{k} {v}' for k, v in run.result.get('versions', {}).items())
    for run in done
  }
  lines += [f'Made with {made}.' for made in sorted(versions)]
  lines.append(
    'Every run folder holds its whole configuration (config.json), what '
    'happened to each weight before training (init.json), one line an '
    'evaluation (metrics.jsonl) and the scores of every test image '
    '(test_scores.csv). Tables, figures and claims follow from these alone.'
  )
  return report.Section('What was run', lines, _settings(done))


def _settings(done):
  """One row a kind of run: data, network, size and length."""
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


def of_the_paper() -> Iterator[report.Section]:
  """Where it contradicts itself, and where it is silent."""
  contradictions = pd.DataFrame(published_values.contradictions())
  contradictions.columns = ['', 'Where', 'The paper', 'Here']
  yield report.Section(
    'Where the paper contradicts itself',
    table=contradictions,
    part='Paper and code',
  )
  choices = pd.DataFrame(published_values.choices())
  choices.columns = ['The paper is silent on', 'Here']
  yield report.Section('Choices where the paper is silent', table=choices)


def gaps(
  study: study_lib.Study, names: Sequence[str]
) -> Iterator[report.Section]:
  """Yield the runs that are missing, if any."""
  plans = runs.plans(names, study.scale) if names else []
  found = [study.run(plan.key) for plan in plans]
  missing = [run for run in found if isinstance(run, results.Missing)]
  if missing:
    rows = [{'Run': m.key, 'Why it is missing': m.reason} for m in missing]
    yield report.Section('Missing runs', table=pd.DataFrame(rows))

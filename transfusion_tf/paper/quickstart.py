"""The quickstart's report: the paper's question, asked on the demo data."""

from collections.abc import Sequence
import os

import pandas as pd

from transfusion_tf.paper import runs
from transfusion_tf.paper.figures import filters
from transfusion_tf.study import display
from transfusion_tf.study import provenance
from transfusion_tf.study import report
from transfusion_tf.study import results
from transfusion_tf.study.plots import convergence

_NONE = '–'


def write(plans: Sequence[runs.Plan], output_dir: str) -> str:
  """Writes OUTPUT_DIR/report.html and table.csv; returns the table as text."""
  source, *starts = [results.read(output_dir, plan.key) for plan in plans]
  found = [run for run in starts if isinstance(run, results.Result)]
  threshold = results.common_threshold(found) if found else 0.0
  table = _table(starts, threshold)
  table.to_csv(os.path.join(output_dir, 'table.csv'), index=False)
  sections = [
    report.Section('What was asked', _question(source, found)),
    report.Section('What came out', findings(found, threshold), table),
  ]
  if found:
    sections += _figures(found, threshold)
    sections.append(
      report.Section('How it was run', provenance.of_run(found[0]))
    )
  report.write(
    os.path.join(output_dir, 'report.html'),
    'Does transfer learning pay? The demo study',
    sections,
  )
  return table.to_string(index=False)


def _table(
  runs: Sequence[results.Result | results.Missing], threshold: float
) -> pd.DataFrame:
  """One row a run: test score, best validation score, speed of convergence."""
  return pd.DataFrame([_row(run, threshold) for run in runs])


def _row(run, threshold):
  if isinstance(run, results.Missing):
    return {'Start': run.key, 'Test AUC': _NONE, '95 % interval': run.reason}
  test = run.test()
  return {
    'Start': display.SCHEMES[run.experiment.init.scheme].label,
    'Test AUC': f'{test["value"]:.3f}',
    '95 % interval': f'{test["low"]:.3f} to {test["high"]:.3f}',
    'Best validation AUC': f'{run.curve[run.headline].max():.3f}',
    f'Steps to {threshold:.2f}': str(run.steps_to(threshold) or 0),
    'Minutes': f'{run.result["seconds"] / 60:.1f}',
  }


def findings(found: Sequence[results.Result], threshold: float) -> list[str]:
  """What the runs say, in sentences; no more than they say."""
  by_scheme = {run.experiment.init.scheme: run for run in found}
  random = by_scheme.pop('random', None)
  if random is None:
    return ['The run from random weights is missing: nothing to compare with.']
  sentences = []
  for scheme, run in by_scheme.items():
    label = display.SCHEMES[scheme].label
    mine, theirs = run.steps_to(threshold), random.steps_to(threshold)
    if mine < theirs:
      speed = f'in fewer steps than random weights ({mine} against {theirs})'
    elif mine == theirs:
      speed = f'no sooner than random weights (both at step {mine})'
    else:
      speed = f'in more steps than random weights ({mine} against {theirs})'
    sentences.append(
      f'{label} reached a validation AUC of {threshold:.2f} {speed}; its test '
      f'AUC is {_signed(run.test()["value"] - random.test()["value"])} '
      f'relative to random weights ({_overlap(run.test(), random.test())}).'
    )
  sentences.append(
    'One seed each, evaluated every '
    f'{random.experiment.train.eval_every} steps: differences of this size '
    'also come from chance. The threshold is the highest validation AUC, in '
    'steps of 0.01, that every run reaches; the test set chose nothing.'
  )
  return sentences


def _signed(difference):
  return f'{difference:+.3f}'


def _overlap(one, other):
  apart = one['low'] > other['high'] or other['low'] > one['high']
  return f'the 95 % intervals {"do not overlap" if apart else "overlap"}'


def _question(source, found):
  lines = [
    'The same small network (CBR-Tiny) learns to tell referable diabetic '
    'retinopathy from fundus photographs, from three starts: random weights, '
    'weights trained on natural images (Transfer), and random weights with '
    'the mean and variance of those, layer by layer (Mean Var, Section 5).',
    'The photographs are made from one real photograph with synthetic '
    'lesions. The study shows how the pieces work; it says nothing about '
    'medicine.',
  ]
  if found:
    lines.append(
      f'{found[0].result["num_train"]} images to train on, '
      f'{found[0].result["num_test"]} to test on, '
      f'{found[0].experiment.data.image_size} px; '
      f'{found[0].result["trainable_parameters"]:,} trainable parameters.'
    )
  if isinstance(source, results.Result):
    lines.append(
      'Pretraining on natural images ended at a test top-1 accuracy of '
      f'{source.test("top1")["value"]:.3f}.'
    )
  return lines


def _figures(found, threshold):
  curves = {run.experiment.init.scheme: [run] for run in found}
  return [
    report.Section(
      'Convergence',
      figure=convergence.plot(curves, threshold),
      caption='Validation AUC while training; compare Figures 6 and 15 of the '
      'paper.',
    ),
    report.Section(
      'First-layer filters',
      figure=filters.plot(found),
      caption='The 5x5 filters of conv1, each scaled to its own largest '
      'weight; compare Figures 5, 9 and 10.',
    ),
  ]

"""Transferability scores of pretrained weights, beside what was measured."""

from collections.abc import Iterator, Sequence
import dataclasses

import numpy as np
from scipy import stats

from transfusion_tf.analysis import transferability
from transfusion_tf.input_pipeline import tfds_folder
from transfusion_tf.models import registry
from transfusion_tf.study import probe_files
from transfusion_tf.study import probe_scores
from transfusion_tf.study import results

_FEWEST = 3  # Entries of an order.


@dataclasses.dataclass(frozen=True)
class Entry:
  """Pretrained weights of a network.

  Attributes:
    model: The network.
    source: Name of the weights.
    log_me: `transferability.log_me` of the last stage.
    h_score: `transferability.h_score` of it.
    measured: Mean test score of the runs that start from them; NaN without.
    num_runs: Number of those.
  """

  model: str
  source: str
  log_me: float
  h_score: float
  measured: float
  num_runs: int


SCORES = {'log_me': 'LogME', 'h_score': 'H-score'}


def entries(
  probed: Sequence[probe_files.Probed], runs: Sequence[results.Result]
) -> Iterator[Entry]:
  """Yield the pretrained weights that were probed.

  Args:
    probed: What was probed.
    runs: The finished runs of the study.
  """
  for each in probed:
    if not (each.path and each.weights.pretrained):
      continue
    features = each.features(tfds_folder.TRAIN, each.stages[-1]).astype(float)
    targets = each.arrays['targets']
    measured = [
      run.test()['value']
      for run in runs
      if _starts_from(run, each) and run.test()['value'] is not None
    ]
    yield Entry(
      each.model,
      probe_scores.name_of(each),
      transferability.log_me(features, targets),
      transferability.h_score(
        features, targets, bool(each.arrays['exclusive'])
      ),
      float(np.mean(measured)) if measured else float('nan'),
      len(measured),
    )


def agreement(found: Sequence[Entry]) -> list[str]:
  """Return how each score ordered the entries that were measured."""
  measured = [each for each in found if each.num_runs]
  if len(measured) < _FEWEST:
    return [
      f'Here {len(measured)} of them {_were(len(measured))} trained: an order '
      f'to compare takes {_FEWEST} or more.'
    ]
  test = [each.measured for each in measured]
  texts = []
  for field, label in SCORES.items():
    tau = stats.kendalltau([getattr(each, field) for each in measured], test)
    texts.append(f'{label} {tau.statistic:+.2f} (p = {tau.pvalue:.2f})')
  return [
    f'Kendall’s tau with the measured order of {len(measured)}, where 1 is the '
    f'same order and 0 none: {", ".join(texts)}.'
  ]


def label(entry: Entry) -> str:
  return f'{registry.label(entry.model)}, {entry.source}'


def _starts_from(run, probed):
  start = run.experiment.init
  return (
    run.experiment.model.name == probed.model
    and start.scheme == 'transfer'
    and start.pretrained == probed.weights.pretrained
    and not start.upto
    and not start.freeze_upto
    and not run.experiment.train.probe_steps
  )


def _were(count):
  return 'was' if count == 1 else 'were'

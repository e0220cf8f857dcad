"""Which claims more seeds would decide, from those that there are."""

import math

import pandas as pd

from transfusion_tf import metrics
from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper.claims import verdicts
from transfusion_tf.study import power

_GROWTHS = (1, 2, 4, 8)


def table(
  claims: tuple[verdicts.Claim, ...], study: study_lib.Study
) -> pd.DataFrame:
  """Return a row a claim: the chance of a verdict with more seeds.

  A claim holds if all its tests do, and fails if one does at a level that
  allows for their number; the tests are taken as independent. `nan` is a claim
  that lacks a run, or the second seed of one.
  """
  rows = []
  for claim in claims:
    judged = verdicts.judge(claim, study)
    row = {'Claim': claim.number, 'Verdict': judged.verdict}
    for growth in _GROWTHS:
      row[f'{growth}x the seeds'] = _chance(judged, growth)
    rows.append(row)
  frame = pd.DataFrame(rows)
  total = {f'{g}x the seeds': frame[f'{g}x the seeds'].sum() for g in _GROWTHS}
  return pd.concat([frame, pd.DataFrame([{'Claim': 'decided'} | total])])


def _chance(judged, growth):
  """Return the chance that a claim is decided."""
  if not judged.tests:
    return math.nan
  if not judged.learned:
    return 0.0
  against = 1 - (1 - metrics.LEVEL) / len(judged.tests)
  all_inside, none_outside = (
    math.prod(
      part(power.chance(test.estimate, growth, test.above, test.below, level))
      for test in judged.tests
    )
    for level, part in (
      (metrics.LEVEL, lambda chance: chance.inside),
      (against, lambda chance: 1 - chance.outside),
    )
  )
  return min(all_inside + 1 - none_outside, 1.0)

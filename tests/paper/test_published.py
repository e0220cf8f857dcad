"""The claims judged by the paper's own tables, as if they were our results."""

import numpy as np
import pytest

from transfusion_tf.models import registry
from transfusion_tf.paper import claims
from transfusion_tf.paper import published_values
from transfusion_tf.paper import scales
from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper.claims import verdicts
from transfusion_tf.study import results
from transfusion_tf.study import statistics

_STD = 0.05  # Points, of a cell that is printed without: as Table 1's.
_PATIENTS = statistics.Variance(0.0005**2)  # Of a difference on 70 000 images.


class _Published(study_lib.Study):
  """A study whose numbers are those of Tables 1, 3, 4 and 5."""

  def test(self, group, metric=None):
    for table in ('table1', 'table3', 'table4'):
      name = group.initialization.name
      value = published_values.table(
        table, group.model, name, group.images, metric or 'referable'
      )
      if value and group.dataset == 'retina':
        return self._seeds(value)
    raise results.MissingResultError(f'{group}: not in the tables')

  def accuracies(self, model):
    return self._seeds(
      published_values.table('table1', model, 'random', '', 'top5')
    )

  def difference(self, coefficients, groups, metric=None):
    samples = [self.test(group, metric) for group in groups]
    return statistics.contrast(coefficients, samples, _PATIENTS)

  def similarity(self, comparison):
    model, name = comparison.model, comparison.a.initialization.name
    cells = {
      stage: published_values.table('table5', model, name, 0, stage)
      for stage in registry.stages(model)
    }
    return {stage: {'mean': cell.value} for stage, cell in cells.items()}

  def _seeds(self, value):
    """Three values of the printed mean and standard deviation."""
    std = value.std or _STD
    return list((value.value + std * np.array([-1, 0, 1])) / 100)


@pytest.mark.parametrize(
  ('number', 'verdict'),
  [
    (1, verdicts.HOLDS),
    (2, verdicts.HOLDS),
    # The table has the networks of higher accuracy at higher AUCs.
    (3, verdicts.FAILS),
    (4, verdicts.HOLDS),
    (5, verdicts.HOLDS),
    (9, verdicts.HOLDS),
  ],
)
def test_the_papers_tables_give_the_papers_verdicts(number, verdict):
  (claim,) = (c for c in claims.CLAIMS if c.number == number)
  judged = verdicts.judge(claim, _Published('', scales.PAPER))
  print(judged.finding)
  assert judged.verdict == verdict, judged.finding

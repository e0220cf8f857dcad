"""Studies of runs on subsets, made up from learning curves of a known law."""

import numpy as np
import pandas as pd
from scipy import stats

from transfusion_tf import config
from transfusion_tf import metrics
from transfusion_tf.study import outcome
from transfusion_tf.study import results
from transfusion_tf.study import subsets

MODEL = 'cbr_tiny'
# Error by number of patients.
LAWS = {
  'random': lambda n: 0.05 + 2 * n**-0.65,
  'transfer': lambda n: 0.05 + 0.7 * n**-0.6,
}


class Patients:
  """Test patients with two images, some of whom all networks find hard."""

  def __init__(self, rng, count):
    self.rng = rng
    self.ids = np.repeat([f'p{n}' for n in range(count)], 2)
    self.labels = np.repeat(rng.random(count) < 0.4, 2)
    self._hard = np.repeat(rng.normal(size=count), 2)

  def run(self, start, seed, size, error, stddev, metric='auc'):
    """A run whose true AUC is 1 - `error`, give or take its seed."""
    true = 1 - error * np.exp(stddev * self.rng.normal())
    noise = np.sqrt(0.6) * self._hard
    noise = noise + np.sqrt(0.4) * self.rng.normal(size=len(self.ids))
    scores = np.sqrt(2) * stats.norm.ppf(min(true, 0.9999)) * self.labels
    auc = metrics.Auc(self.labels, scores + noise)
    columns = auc.columns(metric)
    made = results.Result(
      f'{MODEL}/{start}/n{size}/seed{seed}',
      'nowhere',
      config.override(
        config.IMAGE_TABLE, {'model.name': MODEL, 'init.scheme': start}
      ),
      {
        'headline': metric,
        'test': {metric: {'value': float(auc.value()), 'low': 0, 'high': 1}},
        'seconds': 60.0,
        'num_train': 2 * size,
        'num_test': len(self.ids),
        'judged_step': 0,
        'versions': {},
      },
      pd.DataFrame({'step': [0], metric: [true]}),
    )
    ids = {'image_id': np.arange(len(self.ids)).astype(str)}
    made.__dict__['scores'] = pd.DataFrame(
      ids | {'patient_id': self.ids} | columns
    )
    return made


def study(
  seed=0, sizes=(50, 100, 200), total=400, laws=None, seeds=3, stddev=0.05
):
  """An outcome with runs of every law on all sizes."""
  patients = Patients(np.random.default_rng(seed), 400)
  runs = {
    size: [
      patients.run(start, number, size, law(float(size)), stddev)
      for start, law in (laws or LAWS).items()
      for number in range(seeds)
    ]
    for size in (*sizes, total)
  }
  whole = runs.pop(total)
  planned = subsets.Subsets(dict.fromkeys(sizes, config.IMAGE_TABLE), total)
  return outcome.Outcome(whole, {}, subsets=planned, of_subsets=runs)

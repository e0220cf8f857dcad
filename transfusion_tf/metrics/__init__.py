"""Exact metrics over all scores of a split, with intervals over patients.

Two eyes of one patient are not two independent observations, so the unit is the
patient: `Metric.effects` says how much each patient moves the value, and the
sum of the squares estimates its variance. Of an AUC that is DeLong's variance
with clusters (Obuchowski, Biometrics 53, 1997). Intervals of fractions are
computed on the logit scale, where small sets of patients are covered too
(`docs/statistics.md`).

What a metric holds is written to columns of a table of scores
(`test_scores.csv`), from which `from_columns` rebuilds it.

  base               what a metric is
  ranking            AUC, average precision
  means              means, accuracy, balanced accuracy
  calibration        Brier score and skill, calibration error
  agreement          kappa of grades, confusion matrices
  answers            the metrics that labels and probabilities make
  operating_points   sensitivity and specificity at a threshold
  differences        of two metrics, on the same patients or on others
  columns, summary   tables of scores, results as text
"""

from transfusion_tf.metrics import agreement as agreement
from transfusion_tf.metrics import answers as answers
from transfusion_tf.metrics import calibration as calibration
from transfusion_tf.metrics import differences as differences
from transfusion_tf.metrics import operating_points as operating_points
from transfusion_tf.metrics.agreement import Kappa as Kappa
from transfusion_tf.metrics.base import LEVEL as LEVEL
from transfusion_tf.metrics.base import Effects as Effects
from transfusion_tf.metrics.base import Metric as Metric
from transfusion_tf.metrics.base import interval as interval
from transfusion_tf.metrics.base import mean_effects as mean_effects
from transfusion_tf.metrics.base import patient_numbers as patient_numbers
from transfusion_tf.metrics.base import register as register
from transfusion_tf.metrics.columns import MEAN as MEAN
from transfusion_tf.metrics.columns import from_columns as from_columns
from transfusion_tf.metrics.means import Accuracy as Accuracy
from transfusion_tf.metrics.means import Average as Average
from transfusion_tf.metrics.means import BalancedAccuracy as BalancedAccuracy
from transfusion_tf.metrics.means import Fraction as Fraction
from transfusion_tf.metrics.means import Mean as Mean
from transfusion_tf.metrics.means import PartMean as PartMean
from transfusion_tf.metrics.ranking import Auc as Auc
from transfusion_tf.metrics.ranking import AveragePrecision as AveragePrecision
from transfusion_tf.metrics.summary import UNDEFINED as UNDEFINED
from transfusion_tf.metrics.summary import Summary as Summary
from transfusion_tf.metrics.summary import cells as cells
from transfusion_tf.metrics.summary import finite as finite
from transfusion_tf.metrics.summary import summaries as summaries
from transfusion_tf.metrics.summary import text as text

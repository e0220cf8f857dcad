"""Metrics of a clinic, against scikit-learn; thresholds by validation."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import calibration as sklearn_calibration
from sklearn import metrics as sklearn_metrics
import tensorflow as tf

from transfusion_tf import errors
from transfusion_tf import metrics
from transfusion_tf import tasks
from transfusion_tf.metrics import calibration
from transfusion_tf.metrics import operating_points


def _question(seed=0, count=240, digits=6):
  """Labels and calibrated probabilities, with ties if there are few digits."""
  rng = np.random.default_rng(seed)
  probabilities = np.round(rng.beta(0.6, 1.2, count), digits)
  return (rng.random(count) < probabilities).astype(float), probabilities


def _choice(seed=0, count=300, names='abcd'):
  rng = np.random.default_rng(seed)
  classes = rng.choice(len(names), count, p=[0.6, 0.2, 0.15, 0.05])
  logits = (
    rng.normal(size=(count, len(names))) + 2 * np.eye(len(names))[classes]
  )
  probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
  return metrics.answers.Choice(tuple(names), classes, probabilities)


@pytest.mark.parametrize('digits', [1, 6])
def test_average_precision_is_scikit_learns(digits):
  labels, scores = _question(digits=digits)
  found = metrics.AveragePrecision(labels, scores)
  assert found.value() == pytest.approx(
    sklearn_metrics.average_precision_score(labels, scores), abs=1e-12
  )
  weights = np.random.default_rng(1).random((20, len(labels)))
  np.testing.assert_allclose(
    found.value(weights),
    [
      sklearn_metrics.average_precision_score(labels, scores, sample_weight=w)
      for w in weights
    ],
    atol=1e-12,
  )
  assert found.chance == labels.mean()


def test_unknown_labels_are_left_out():
  labels, scores = _question()
  known = np.arange(len(labels)) % 3 > 0
  gaps = np.where(known, labels, np.nan)
  some = metrics.answers.Questions({'x': (gaps, scores)})
  alone = metrics.answers.Questions({'x': (labels[known], scores[known])})
  for make in metrics.answers.METRICS.values():
    one, two = make(some), make(alone)
    if one is None:
      continue
    assert one.value() == pytest.approx(two.value(), abs=1e-12)
    patient = np.arange(len(labels)) // 2
    assert one.interval(patient) == pytest.approx(
      two.interval(metrics.patient_numbers(patient[known])), rel=0.02
    )


def test_brier_and_its_skill():
  labels, scores = _question()
  answers = metrics.answers.Questions({'x': (labels, scores)})
  brier = sklearn_metrics.brier_score_loss(labels, scores)
  assert metrics.answers.brier(answers).value() == pytest.approx(brier)
  of_the_frequency = sklearn_metrics.brier_score_loss(
    labels, np.full(len(labels), labels.mean())
  )
  skill = metrics.answers.brier_skill(answers)
  assert skill.value() == pytest.approx(1 - brier / of_the_frequency)
  assert skill.chance == 0


def test_several_classes():
  answers = _choice()
  classes, probabilities = answers.classes, answers.probabilities
  assert metrics.answers.macro_auc(answers).value() == pytest.approx(
    sklearn_metrics.roc_auc_score(classes, probabilities, multi_class='ovr')
  )
  one_hot = np.eye(4)[classes]
  assert metrics.answers.average_precision(answers).value() == pytest.approx(
    sklearn_metrics.average_precision_score(one_hot, probabilities)
  )
  assert metrics.answers.brier(answers).value() == pytest.approx(
    sklearn_metrics.brier_score_loss(classes, probabilities, scale_by_half=True)
  )
  guesses = probabilities.argmax(axis=1)
  found = metrics.BalancedAccuracy(classes, guesses)
  assert found.value() == pytest.approx(
    sklearn_metrics.balanced_accuracy_score(classes, guesses)
  )
  assert found.chance == 1 / 4


def test_a_thousand_classes_have_no_means_over_classes():
  task = tasks.Classes(tuple(f'class {k}' for k in range(101)))
  probabilities = np.random.default_rng(0).dirichlet(np.ones(101), 202)
  found = task.metrics(probabilities, {'label': np.arange(202) % 101})
  assert list(found) == ['top1', 'top5', 'brier', 'ece']
  with pytest.raises(errors.InputError, match='unknown primary_metric'):
    task.check_primary('macro_auc')


def test_classes_without_example_stay_out_of_balanced_accuracy():
  found = metrics.BalancedAccuracy(np.array([0, 0, 2]), np.array([0, 1, 2]))
  assert found.value() == (0.5 + 1) / 2
  one = metrics.BalancedAccuracy(np.zeros(3), np.zeros(3))
  assert one.undefined == 'all examples are of one class'


def test_the_calibration_curve_is_scikit_learns():
  labels, probabilities = _question()
  bins = calibration.Bins.of(labels, probabilities)
  curve = bins.curve(np.arange(len(labels)))
  frequencies, means = sklearn_calibration.calibration_curve(
    labels, probabilities, n_bins=10, strategy='quantile'
  )
  assert [p.frequency for p in curve] == pytest.approx(frequencies)
  assert [p.probability for p in curve] == pytest.approx(means)
  shares = np.array([p.count for p in curve]) / len(labels)
  error = calibration.CalibrationError((bins,))
  assert error.value() == pytest.approx(shares @ abs(frequencies - means))
  for point in curve:
    assert point.interval[0] <= point.frequency <= point.interval[1]


def test_the_noise_of_a_calibrated_network():
  """Which has no calibration error: all that is measured is noise."""
  found = []
  for seed in range(30):
    bins = calibration.Bins.of(*_question(seed))
    error = calibration.CalibrationError((bins,))
    found.append((error.value(), error.noise(np.arange(240))))
    assert error.interval(np.arange(240))[0] < 0.02
  measured, promised = np.mean(found, axis=0)
  assert promised == pytest.approx(measured, rel=0.15)


def test_formulas_agree_with_the_jackknife():
  patient = np.arange(240) // 2
  questions = metrics.answers.Questions({'x': _question(3)})
  made = [make(questions) for make in metrics.answers.METRICS.values()]
  answers = _choice(4, 240)
  guesses = answers.probabilities.argmax(axis=1)
  made += [make(answers) for make in metrics.answers.METRICS.values()]
  made.append(metrics.BalancedAccuracy(answers.classes, guesses))
  for metric in filter(None, made):
    if isinstance(metric, calibration.CalibrationError):
      continue  # Distances change their sides: see its interval.
    formula = metric.effects(patient)
    jackknife = metrics.Metric.effects(metric, patient)
    correlation = np.corrcoef(formula.values, jackknife.values)[0, 1]
    assert correlation > 0.98
    assert formula.stddev == pytest.approx(jackknife.stddev, rel=0.1)


def test_of_independent_images_a_fractions_interval_is_clopper_and_pearsons():
  """But for Student's t in the place of the normal distribution."""
  values = np.arange(400) < 380
  low, high = metrics.Fraction(values.astype(float)).interval(np.arange(400))
  exact = stats.binomtest(380, 400).proportion_ci(0.95)
  assert (low, high) == pytest.approx(exact, abs=3e-4)
  # The same eye twice is no more evidence.
  twice = metrics.Fraction(np.repeat(values, 2).astype(float))
  assert twice.interval(np.arange(800) // 2) == pytest.approx((low, high))
  perfect = metrics.Fraction(np.ones(20)).interval(np.arange(20))
  assert perfect[1] == 1 and 0.78 < perfect[0] < 0.84


_TASKS = {
  'two': tasks.Classes(('well', 'sick')),
  'several': tasks.Classes(('a', 'b', 'c')),
  'grades': tasks.Grades(tuple('01234'), 2),
  'findings': tasks.Findings(('Edema', 'Mass')),
}


def _labels(task, count, rng):
  if isinstance(task, tasks.Findings):
    states = {n: tf.constant(rng.integers(0, 4, count)) for n in task.names}
    return {'findings': states}
  return {task.kind: rng.integers(0, len(task.names), count)}


@pytest.mark.parametrize('task', _TASKS.values(), ids=_TASKS)
def test_a_table_of_scores_gives_every_metric_again(task):
  rng = np.random.default_rng(0)
  probabilities = rng.dirichlet(np.ones(len(task.names)), 90)
  found = task.metrics(probabilities, _labels(task, 90, rng))
  table = {'image_id': range(90), 'patient_id': range(90)}
  table |= {n: probabilities[:, k] for k, n in enumerate(task.names)}
  table['sex:group'] = ['F', 'M'] * 45
  for name, metric in found.items():
    table |= metric.columns(name)
  assert {'brier', 'brier_skill', 'ece', 'average_precision'} <= set(found)
  for name, metric in found.items():
    again = metrics.from_columns(pd.DataFrame(table), name)
    assert type(again) is type(metric)
    assert again.value() == pytest.approx(metric.value(), abs=1e-12)
    assert again.chance == metric.chance


@pytest.mark.parametrize('task', _TASKS.values(), ids=_TASKS)
def test_what_may_be_primary(task):
  for name in (task.primary_metric, 'brier_skill', 'average_precision'):
    task.check_primary(name)
  with pytest.raises(errors.InputError, match='less of it is better'):
    task.check_primary('brier')
  with pytest.raises(errors.InputError, match='brier_skill counts both'):
    task.check_primary('ece')
  with pytest.raises(errors.InputError, match="unknown primary_metric 'top9'"):
    task.check_primary('top9')


def _rates(labels, scores, threshold):
  return (
    operating_points.sensitivity(labels, scores, threshold).value(),
    operating_points.specificity(labels, scores, threshold).value(),
  )


@pytest.mark.parametrize('digits', [1, 6])
@pytest.mark.parametrize('at_least', [0.8, 0.97, 1.0])
def test_thresholds_are_the_best_that_meet_the_target(digits, at_least):
  labels, scores = _question(digits=digits)
  false, true, thresholds = sklearn_metrics.roc_curve(
    labels, scores, drop_intermediate=False
  )
  specific, sensitive = operating_points.targets(at_least, at_least)
  found = _rates(labels, scores, specific.threshold(labels, scores))
  assert found[1] >= at_least
  assert found[0] == true[1 - false >= at_least].max()
  threshold = sensitive.threshold(labels, scores)
  assert threshold in thresholds
  found = _rates(labels, scores, threshold)
  assert found[0] >= at_least
  assert found[1] == pytest.approx((1 - false[true >= at_least]).max())


def test_where_no_score_is_specific_enough_nobody_is_positive():
  labels, scores = np.array([1, 0, 1, 0]), np.array([0.4, 0.9, 0.3, 0.2])
  (specific, _) = operating_points.targets(0.98)
  threshold = specific.threshold(labels, scores)
  assert threshold == np.inf
  assert _rates(labels, scores, threshold) == (0, 1)


def test_operating_points_judge_other_images():
  validation = metrics.answers.Questions({'auc': _question(0)})
  test = metrics.answers.Questions({'auc': _question(1)})
  points = operating_points.judge(validation, test)
  assert [p.chosen.target.name for p in points] == [
    operating_points.HIGH_SPECIFICITY,
    operating_points.HIGH_SENSITIVITY,
  ]
  for point in points:
    labels, scores = test.asked['auc']
    guesses = scores >= point.chosen.threshold
    assert point.sensitivity.value() == pytest.approx(
      sklearn_metrics.recall_score(labels, guesses)
    )
    assert point.specificity.value() == pytest.approx(
      sklearn_metrics.recall_score(labels, guesses, pos_label=0)
    )
    line = operating_points.text(point.record(np.arange(240)))
    assert line.startswith(f'at {point.chosen.target.name} (threshold 0.')
    assert '95 % interval' in line
  # Thresholds of one class cannot be chosen.
  one_class = np.zeros(240), test.asked['auc'][1]
  lacking = metrics.answers.Questions({'auc': one_class})
  assert not operating_points.judge(lacking, test)
  assert not operating_points.judge(_choice(), _choice())

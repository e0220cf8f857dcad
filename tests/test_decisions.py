"""Thresholds at the very score, and temperatures that are found again."""

import numpy as np
import pytest
from scipy import special
import tensorflow as tf

from transfusion_tf import decisions
from transfusion_tf import errors
from transfusion_tf import tasks
from transfusion_tf.metrics import operating_points

_CLASSES = tasks.Classes(('benign', 'malignant'))
_GRADES = tasks.Grades(tuple('01234'), referable_from=2)
_FINDINGS = tasks.Findings(('a', 'b'))


def _point(question, threshold, name=operating_points.HIGH_SENSITIVITY):
  target = operating_points.Target(name, 0.9)
  return operating_points.Chosen(question, target, threshold, 10)


def test_a_score_of_the_thresholds_name_is_positive():
  """In 32 bits 0.7 is less than in 64, of which the text is."""
  scores = np.array([0.7, np.nextafter(np.float32(0.7), np.float32(0))])
  probabilities = tf.constant(np.stack([1 - scores, scores], 1), tf.float32)
  chosen = decisions.Decisions((_point('auc', 0.7),))
  assert chosen.names(_CLASSES) == ('high_sensitivity', 'class')
  found = chosen.decide(_CLASSES, probabilities).numpy()
  np.testing.assert_array_equal(found, [[1, 1], [0, 1]])


def test_a_threshold_that_none_meets_calls_none_positive():
  chosen = decisions.Decisions((_point('b', np.inf), _point('a', 0.2)))
  read = decisions.from_json(chosen.to_json())
  assert read == chosen
  probabilities = tf.constant([[0.3, 1.0], [0.1, 0.5]])
  found = read.decide(_FINDINGS, probabilities).numpy()
  np.testing.assert_array_equal(found, [[0, 1], [0, 0]])
  assert read.names(_FINDINGS) == ('b_high_sensitivity', 'a_high_sensitivity')


def test_grades_are_decided_by_their_referable_score():
  probabilities = tf.constant([[0.9, 0.0, 0.1, 0.0, 0.0], [0.1] * 4 + [0.6]])
  chosen = decisions.Decisions((_point('referable', 0.5),))
  found = chosen.decide(_GRADES, probabilities).numpy()
  np.testing.assert_array_equal(found, [[0, 0], [1, 4]])
  cumulative = tasks.Grades(tuple('01234'), 2, cumulative=True)
  reached = tf.constant([[1, 0.9, 0.6, 0.5, 0.4], [1, 0.2, 0.6, 0.1, 0.1]])
  found = chosen.decide(cumulative, reached).numpy()
  np.testing.assert_array_equal(found, [[1, 3], [1, 1]])


@pytest.mark.parametrize('task', [_CLASSES, _GRADES, _FINDINGS], ids=str)
def test_the_logits_of_probabilities_give_them_again(task):
  logits = np.random.default_rng(0).normal(0, 3, (50, len(task.names)))
  probabilities = task.probabilities(tf.constant(logits, tf.float32))
  again = task.probabilities(task.logits(probabilities))
  np.testing.assert_allclose(probabilities, again, atol=1e-6)
  for extreme in (0.0, 1.0):
    ends = tf.fill(probabilities.shape, extreme)
    assert np.isfinite(task.logits(ends)).all()


@pytest.mark.parametrize('temperature', [0.5, 2.0])
def test_a_temperature_is_found_again(temperature):
  rng = np.random.default_rng(0)
  true = rng.normal(0, 2, (20_000, 2))
  drawn = rng.random(true.shape) < special.expit(true)
  states = np.where(drawn, tasks.POSITIVE, tasks.NEGATIVE)
  labels = {'findings': {'a': states[:, 0], 'b': states[:, 1]}}
  said = special.expit(true * temperature).astype(np.float32)
  found = decisions.fit_temperature(_FINDINGS, said, labels)
  assert found == pytest.approx(temperature, rel=0.05)
  chosen = decisions.Decisions(temperature=found)
  calibrated = chosen.calibrated(_FINDINGS, tf.constant(said)).numpy()
  assert np.abs(calibrated - special.expit(true)).max() < 0.03


def test_no_temperature_makes_sense_of_what_is_never_wrong():
  labels = {'label': np.arange(100) % 2}
  said = np.eye(2, dtype=np.float32)[labels['label']] * 0.8 + 0.1
  with pytest.raises(errors.InputError, match='no temperature fits'):
    decisions.fit_temperature(_CLASSES, said, labels)

"""Tasks: labels to targets, logits to losses, probabilities to metrics."""

import numpy as np
import prepared_sets
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import tasks

_STATES = tfds.features.ClassLabel(
  names=['negative', 'positive', 'uncertain', 'unmentioned']
)
_DATA = config.CHEXPERT.data


def _of(label, **changes):
  data = config.override(
    config.RETINA, {f'data.{k}': changes[k] for k in changes}
  )
  return _make(tfds.features.FeaturesDict(label), data.data)


def _make(features, data):
  kind = next((k for k in ('grade', 'findings', 'label') if k in features), '')
  labels = features[kind] if kind else ()
  return tasks.make(kind, getattr(labels, 'names', labels), data)


def _targets(task, labels):
  return [t.numpy().tolist() for t in task.targets(labels)]


def test_one_hot_grades_and_their_score():
  task = _of({'grade': prepared_sets.GRADES})
  targets, mask = _targets(task, {'grade': np.array([0, 3])})
  assert targets == [[1, 0, 0, 0, 0], [0, 0, 0, 1, 0]]
  assert np.all(mask)
  probabilities = np.array([[0.2, 0.1, 0.1, 0.0, 0.0], [0, 0, 1, 0, 1.0]])
  np.testing.assert_allclose(task.scores(probabilities), [0.25, 1])


def test_cumulative_grades():
  task = _of({'grade': prepared_sets.GRADES}, grade_targets='cumulative')
  targets, _ = _targets(task, {'grade': np.array([0, 3])})
  assert targets == [[1, 0, 0, 0, 0], [1, 1, 1, 1, 0]]
  assert task.scores(np.array([[1, 0.9, 0.4, 0.1, 0]])) == [0.4]


def test_referable_is_moderate_or_worse():
  """Grades 0-4 here; the paper counts 1-5 and cuts at 3: the same cut."""
  task = _of({'grade': prepared_sets.GRADES})
  found = task.metrics(np.eye(5), {'grade': np.arange(5)})
  assert found['referable'].labels.tolist() == [0, 0, 1, 1, 1]
  assert found['referable'].value() == 1


@pytest.mark.parametrize(
  ('policy', 'targets', 'mask'),
  [
    ('mix', [1, 0], [1, 1]),
    ('zeros', [0, 0], [1, 1]),
    ('ones', [1, 1], [1, 1]),
    ('ignore', [0, 0], [0, 0]),
  ],
)
def test_uncertain_findings(policy, targets, mask):
  task = tasks.Findings(('Edema', 'Cardiomegaly'), policy)
  uncertain = {'findings': {n: np.array([2]) for n in task.names}}
  assert _targets(task, uncertain) == [[targets], [mask]]


def test_unmentioned_is_negative_and_ignored_ones_are_not_scored():
  task = tasks.Findings(('Edema', 'Cardiomegaly'), 'ignore')
  labels = {
    'findings': {
      'Edema': np.array([1, 3, 2, 0]),
      'Cardiomegaly': np.array([0, 0, 0, 0]),
    }
  }
  assert _targets(task, labels)[0] == [[1, 0], [0, 0], [0, 0], [0, 0]]
  scores = np.array([[0.9, 0], [0.1, 0], [1.0, 0], [0.2, 0]])
  found = task.metrics(scores, labels)
  assert found['Edema'].value() == 1  # The uncertain image would spoil it.
  assert np.isnan(found['Cardiomegaly'].value())
  assert found['mean'].value() == 1


def test_the_papers_five_findings_are_chosen_by_name():
  label = {'findings': {n: _STATES for n in (*config.CHEXPERT_FINDINGS, 'X')}}
  features = tfds.features.FeaturesDict(label)
  assert _make(features, _DATA).names == config.CHEXPERT_FINDINGS
  assert 'X' in _make(features, config.RETINA.data).names
  with pytest.raises(errors.InputError, match='did you mean'):
    _of(label, findings=('Edma',))


def test_classes_count_the_rank_of_the_true_one():
  task = tasks.Classes(tuple('abcdefg'))
  probabilities = np.array([[7, 6, 5, 4, 3, 2, 1]]) / 28
  for label, top1, top5 in ((0, 1, 1), (4, 0, 1), (5, 0, 0)):
    found = task.metrics(probabilities, {'label': np.array([label])})
    assert (found['top1'].value(), found['top5'].value()) == (top1, top5)


def test_chance_of_classes_is_that_of_the_most_common():
  task = tasks.Classes(tuple('abcdefg'))
  labels = np.array([6, 6, 6, 0, 1, 2, 3, 4, 5, 5])
  found = task.metrics(np.full((10, 7), 1 / 7), {'label': labels})
  assert (found['top1'].chance, found['top5'].chance) == (0.3, 0.8)


def test_a_network_that_says_the_same_of_all_classes_is_right_by_chance():
  task = tasks.Classes(tuple('abcdefgh'))
  labels = {'label': np.arange(16) % 8}
  found = task.metrics(np.full((16, 8), 0.125), labels)
  assert found['top1'].value() == 1 / 8 and found['top5'].value() == 5 / 8
  half = np.tile([0.5, 0.5, 0, 0, 0, 0, 0, 0], (16, 1))
  found = task.metrics(half, labels)
  assert found['top1'].value() == (2 / 8) / 2
  assert found['top5'].value() == pytest.approx((2 + 6 * 3 / 6) / 8)
  two = tasks.Classes(('benign', 'malignant'))
  scored = two.metrics(np.full((2, 2), 0.5), {'label': np.array([0, 1])})
  assert scored['auc'].chance == 0.5


def test_two_classes_are_ranked():
  task = tasks.Classes(('benign', 'malignant'))
  assert task.primary_metric == 'auc'
  probabilities = np.array([[0.9, 0.1], [0.4, 0.6]])
  assert task.metrics(probabilities, {'label': np.array([0, 1])})['auc'].value()


def test_the_sigmoid_loss_is_the_masked_mean_of_the_cross_entropies():
  rng = np.random.default_rng(0)
  logits = rng.normal(size=(4, 3)).astype(np.float32)
  targets = rng.integers(0, 2, (4, 3)).astype(np.float32)
  mask = rng.integers(0, 2, (4, 3)).astype(np.float32)
  p = 1 / (1 + np.exp(-logits))
  terms = -targets * np.log(p) - (1 - targets) * np.log(1 - p)
  loss = tasks.Findings(('a', 'b', 'c')).loss(logits, targets, mask)
  np.testing.assert_allclose(loss, (terms * mask).mean(axis=1), rtol=1e-5)


def test_the_softmax_loss():
  logits = tf.constant([[0.0, 0.0], [2.0, 0.0]])
  targets = tf.constant([[1.0, 0.0], [0.0, 1.0]])
  loss = tasks.Classes(('a', 'b')).loss(logits, targets, tf.ones_like(targets))
  np.testing.assert_allclose(
    loss, [np.log(2), np.log(1 + np.exp(2))], rtol=1e-6
  )


@pytest.mark.parametrize(
  ('field', 'value'), [('uncertain', 'maybe'), ('grade_targets', 'onehot')]
)
def test_unknown_choices_are_refused(field, value):
  with pytest.raises(errors.InputError, match=value):
    _of({'grade': prepared_sets.GRADES}, **{field: value})


def test_a_set_without_labels_is_refused():
  with pytest.raises(errors.InputError, match='grade, findings, label'):
    _of({'eye': tfds.features.Text()})

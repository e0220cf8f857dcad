"""Tasks: what a data set's labels ask of a network.

The kind of a prepared data set's labels, which is the key of their feature,
names its task (`make`):

  grade     five sigmoids over ordered grades, judged on referable disease
            (RETINA, Section 2)
  findings  a sigmoid for each finding, several may be true (CheXpert)
  label     one class of many (ImageNet, or a table of one's own)

A task turns labels into targets, logits into a loss and into probabilities,
and both into metrics. K is the number of outputs, N of examples. A metric joins
with one line, `@register_metric(NAME, KIND, LABEL)`.
"""

import abc
from collections.abc import Callable, Collection, Mapping, Sequence
import dataclasses
from typing import Any, ClassVar

from etils import epy
import numpy as np

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import metrics
from transfusion_tf import output_names

with epy.lazy_imports():  # Listing runs does without.
  import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class NamedMetric:
  """One metric of a kind of task.

  Attributes:
    kind: Kind of the labels; empty for all of them.
    label: Its name on axes and in tables.
    make: (task, probabilities [N, K], labels) -> metric, or None where the task
      has none; itself None where the task makes the metric.
    is_followed: Whether validation shows it at every evaluation, and not only
      if it is the primary metric.
  """

  kind: str
  label: str
  make: Callable[['Task', np.ndarray, Mapping], metrics.Metric | None] | None
  is_followed: bool = True


METRICS: dict[str, NamedMetric] = {}
# Probabilities of 0 and 1, as sigmoids of 32 bits have them, have no logit.
LEAST, LEAST_OF_CHOICE = 1e-7, 1e-30
# Why no checkpoint is selected by a metric.
_NOT_PRIMARY = {
  'brier': 'less of it is better, and of a primary metric more; brier_skill '
  'says the same the other way round',
  'ece': 'who says the frequency of the classes of every image has none, and '
  'has recognized nothing; brier_skill counts both',
}


def register_metric(
  name: str, kind: str, label: str, is_followed: bool = True
) -> Callable[[Callable], Callable]:
  """Return a decorator that adds a metric to all tasks of a kind.

  Args:
    name: Its name in results.
    kind: `grade`, `findings` or `label`; empty for all of them.
    label: Its name on axes and in tables.
    is_followed: Whether validation shows it at every evaluation.

  Raises:
    ValueError: The name is taken.
  """
  if name in METRICS:
    raise ValueError(f'there is a metric {name!r} already')

  def add(make):
    METRICS[name] = NamedMetric(kind, label, make, is_followed)
    return make

  return add


@dataclasses.dataclass(frozen=True)
class Task(abc.ABC):
  """The meaning of a network's K outputs.

  Attributes:
    kind: Kind of the labels: `grade`, `findings` or `label`.
    names: Names of the K outputs.
    primary_metric: The metric that selects the best checkpoint.
  """

  kind: ClassVar[str]
  primary_metric: ClassVar[str]

  names: tuple[str, ...]

  @abc.abstractmethod
  def targets(self, labels: Mapping) -> tuple['tf.Tensor', 'tf.Tensor']:
    """Return targets and mask, [..., K] float32, of labels of any shape."""

  @abc.abstractmethod
  def loss(
    self, logits: 'tf.Tensor', targets: 'tf.Tensor', mask: 'tf.Tensor'
  ) -> 'tf.Tensor':
    """Return the loss of each example, [B], from [B, K] each."""

  @abc.abstractmethod
  def probabilities(self, logits: 'tf.Tensor') -> 'tf.Tensor':
    """Return the probabilities [B, K] of logits [B, K]."""

  @abc.abstractmethod
  def logits(self, probabilities: 'tf.Tensor') -> 'tf.Tensor':
    """Return logits [B, K] of which `probabilities` makes these."""

  def most_probable(self, probabilities: 'tf.Tensor') -> 'tf.Tensor':
    """Return the number [N] of the most probable output of [N, K].

    Raises:
      NotImplementedError: Several may be true.
    """
    raise NotImplementedError

  @abc.abstractmethod
  def answers(
    self, probabilities: np.ndarray, labels: Mapping
  ) -> metrics.answers.Answers:
    """Return what the network answered to what the labels ask."""

  def metrics(
    self,
    probabilities: np.ndarray,
    labels: Mapping,
    names: Collection[str] | None = None,
  ) -> dict[str, metrics.Metric]:
    """Return the metrics of N examples that are registered for the kind.

    Args:
      probabilities: Probabilities [N, K].
      labels: Feature key -> labels [N].
      names: Those to make; all if None.
    """
    values = {
      name: metric.make(self, probabilities, labels)
      for name, metric in METRICS.items()
      if metric.kind in (self.kind, '')
      and metric.make
      and (names is None or name in names)
    }
    return {n: metric for n, metric in values.items() if metric is not None}

  def followed(self, primary: str = '') -> set[str]:
    """Return the metrics of an evaluation: `is_followed`, and the primary."""
    names = {n for n, m in METRICS.items() if m.is_followed}
    return {*names, primary or self.primary_metric}

  def check_primary(self, name: str) -> None:
    """Check that a metric can select a checkpoint.

    Raises:
      InputError: There is no such metric of these labels, or less is better.
    """
    # Two examples of each output show which metrics there are.
    count = max(2 * len(self.names), 4)
    probabilities = np.full((count, len(self.names)), 0.5)
    known = self.metrics(probabilities, self._labels_like(count))
    allowed = [n for n in known if n not in _NOT_PRIMARY]
    if name in _NOT_PRIMARY:
      raise errors.InputError(
        f'--primary_metric={name}: {_NOT_PRIMARY[name]}; choose '
        f'{" or ".join(allowed)}'
      )
    if name not in known:
      raise errors.unknown('primary_metric', name, allowed)
    if known[name].lower_is_better:
      raise errors.InputError(
        f'--primary_metric={name}: less of it is better, and of a primary '
        'metric more'
      )

  @abc.abstractmethod
  def _labels_like(self, count: int) -> Mapping:
    """Return labels of so many examples, of all kinds."""


class _Sigmoids(Task):
  """Independent yes/no outputs."""

  def loss(self, logits, targets, mask):
    """Cross entropy, averaged over the outputs; a masked output adds 0."""
    losses = tf.nn.sigmoid_cross_entropy_with_logits(targets, logits)
    return tf.reduce_mean(losses * mask, axis=-1)

  def probabilities(self, logits):
    return tf.sigmoid(logits)

  def logits(self, probabilities):
    inner = tf.clip_by_value(probabilities, LEAST, 1 - LEAST)
    return tf.math.log(inner) - tf.math.log1p(-inner)


@dataclasses.dataclass(frozen=True)
class Grades(_Sigmoids):
  """Ordered grades, lowest first, of which the upper ones are referable.

  Attributes:
    referable_from: Lowest referable grade, counted from 0.
    cumulative: Output k means "at least grade k" instead of "grade k".
  """

  referable_from: int
  cumulative: bool = False

  kind = 'grade'
  primary_metric = 'referable'

  def targets(self, labels):
    grade = labels['grade'][..., None]
    levels = tf.range(len(self.names), dtype=grade.dtype)
    met = grade >= levels if self.cumulative else grade == levels
    targets = tf.cast(met, tf.float32)
    return targets, tf.ones_like(targets)

  def scores(self, probabilities: 'np.ndarray | tf.Tensor'):
    """Return how referable images look: [N, K] -> [N], in [0, 1]."""
    if self.cumulative:
      return probabilities[:, self.referable_from]
    # Sums of columns, which arrays and tensors both have.
    columns = [probabilities[:, k] for k in range(len(self.names))]
    return sum(columns[self.referable_from :]) / (sum(columns) + 1e-12)

  def most_probable(self, probabilities):
    """Return the most probable grade, [N], counted from 0.

    Of cumulative outputs it is the last grade that is met with at least one
    half.
    """
    if not self.cumulative:
      return tf.argmax(probabilities, axis=-1)
    met = tf.cast(probabilities[:, 1:] >= 0.5, tf.int64)
    return tf.reduce_sum(met, axis=-1)

  def answers(self, probabilities, labels):
    referable = np.asarray(labels['grade'] >= self.referable_from, float)
    pair = referable, np.asarray(self.scores(probabilities), float)
    return metrics.answers.Questions({metrics.answers.REFERABLE: pair})

  def _labels_like(self, count):
    return {'grade': np.arange(count) % len(self.names)}


@register_metric('referable', Grades.kind, 'AUC, referable DR')
def _referable(task, probabilities, labels):
  return metrics.Auc(
    labels['grade'] >= task.referable_from, task.scores(probabilities)
  )


@register_metric(
  'kappa', Grades.kind, 'quadratic-weighted kappa', is_followed=False
)
def _kappa(task, probabilities, labels):
  given = task.most_probable(tf.constant(probabilities)).numpy()
  return metrics.Kappa(np.asarray(labels['grade']), given)


# States of a finding in a prepared set.
NEGATIVE, POSITIVE, UNCERTAIN, UNMENTIONED = range(4)
ABSENT = 4  # In no prepared set: read for a finding that a set lacks.
# What `mix` reads as positive: see config.Data.uncertain.
_UNCERTAIN_AS_POSITIVE = ('Atelectasis', 'Edema')


@dataclasses.dataclass(frozen=True)
class Findings(_Sigmoids):
  """Findings that may occur together, each with four states.

  An unmentioned finding counts as negative; one that the data set lacks is
  neither trained nor scored.

  Attributes:
    uncertain: What an uncertain finding counts as: `zeros`, `ones`, `ignore`
      (neither trained nor scored) or `mix` (positive for Edema and Atelectasis,
      else negative).
  """

  uncertain: str = 'mix'

  kind = 'findings'
  primary_metric = metrics.MEAN

  def targets(self, labels):
    states = tf.stack([labels['findings'][n] for n in self.names], axis=-1)
    uncertain = states == UNCERTAIN
    positive = (states == POSITIVE) | (uncertain & self._uncertain_positive())
    known = ~uncertain | (self.uncertain != 'ignore')
    known &= states != ABSENT
    return tf.cast(positive, tf.float32), tf.cast(known, tf.float32)

  def answers(self, probabilities, labels):
    targets, mask = (t.numpy() for t in self.targets(labels))
    targets = np.where(mask, targets, np.nan)
    return metrics.answers.Questions(
      {
        name: (targets[:, k], np.asarray(probabilities[:, k], float))
        for k, name in enumerate(self.names)
      }
    )

  def metrics(self, probabilities, labels, names=None):
    targets, mask = (t.numpy() for t in self.targets(labels))
    targets = np.where(mask, targets, np.nan)
    aucs = {
      name: metrics.Auc(targets[:, k], probabilities[:, k])
      for k, name in enumerate(self.names)
    }
    mean = metrics.Average(tuple(aucs.values()))
    return {
      metrics.MEAN: mean,
      **super().metrics(probabilities, labels, names),
      **aucs,
    }

  def _labels_like(self, count):
    states = tf.constant([NEGATIVE, POSITIVE] * (count // 2 + 1))[:count]
    return {'findings': dict.fromkeys(self.names, states)}

  def _uncertain_positive(self):
    if self.uncertain == 'mix':
      return [name in _UNCERTAIN_AS_POSITIVE for name in self.names]
    return [self.uncertain == 'ones'] * len(self.names)


# The task makes it from the same AUCs that it returns.
METRICS[metrics.MEAN] = NamedMetric(
  Findings.kind, 'AUC, mean over findings', make=None
)


@dataclasses.dataclass(frozen=True)
class Classes(Task):
  """One class of many, by softmax; two classes are also ranked."""

  kind = 'label'

  @property
  def primary_metric(self) -> str:  # type: ignore[override]  # Read only.
    """`auc` of two classes, `top1` of more."""
    return 'auc' if len(self.names) == 2 else 'top1'

  def targets(self, labels):
    targets = tf.one_hot(labels['label'], len(self.names))
    return targets, tf.ones_like(targets)

  def loss(self, logits, targets, mask):
    del mask
    return tf.nn.softmax_cross_entropy_with_logits(targets, logits)

  def probabilities(self, logits):
    return tf.nn.softmax(logits)

  def logits(self, probabilities):
    return tf.math.log(tf.maximum(probabilities, LEAST_OF_CHOICE))

  def most_probable(self, probabilities):
    return tf.argmax(probabilities, axis=-1)

  def answers(self, probabilities, labels):
    classes = np.asarray(labels['label'])
    probabilities = np.asarray(probabilities, float)
    if len(self.names) != 2:
      return metrics.answers.Choice(self.names, classes, probabilities)
    pair = (classes == 1).astype(float), probabilities[:, 1]
    return metrics.answers.Questions({metrics.answers.TWO_CLASSES: pair})

  def _labels_like(self, count):
    return {'label': np.arange(count) % len(self.names)}


@register_metric('top1', Classes.kind, 'top-1 accuracy')
def _top1(task, probabilities, labels):
  del task
  return _accuracy(probabilities, labels, 1)


@register_metric('top5', Classes.kind, 'top-5 accuracy')
def _top5(task, probabilities, labels):
  if len(task.names) <= 5:
    return None
  return _accuracy(probabilities, labels, 5)


@register_metric('auc', Classes.kind, 'AUC')
def _auc(task, probabilities, labels):
  if len(task.names) != 2:
    return None
  return metrics.Auc(np.asarray(labels['label']) == 1, probabilities[:, 1])


@register_metric(
  metrics.answers.CHOICE, Classes.kind, 'balanced accuracy', is_followed=False
)
def _balanced_accuracy(task, probabilities, labels):
  if len(task.names) > metrics.answers.MOST_CLASSES:
    return None
  classes = np.asarray(labels['label'])
  return metrics.BalancedAccuracy(classes, probabilities.argmax(axis=1))


def _register_answers():
  """Register the metrics that labels and probabilities alone make."""
  labels = {
    'macro_auc': 'AUC, mean over classes',
    'average_precision': 'average precision (PR-AUC)',
    'brier': 'Brier score',
    'brier_skill': 'Brier skill',
    'ece': 'calibration error (ECE)',
  }
  for name, make in metrics.answers.METRICS.items():
    register_metric(name, '', labels[name], is_followed=False)(
      lambda task, probabilities, given, make=make: make(
        task.answers(probabilities, given)
      )
    )


_register_answers()


def _accuracy(probabilities, labels, guesses):
  """Return how often the true class is among the most probable ones.

  Classes as probable as the true one share the places that are left: a network
  that says the same of all is right as often as a guess.
  """
  label = np.asarray(labels['label'])
  own = probabilities[np.arange(len(label)), label][:, None]
  ahead = (probabilities > own).sum(axis=1)
  equal = np.maximum((probabilities == own).sum(axis=1), 1)
  right = np.clip((guesses - ahead) / equal, 0, 1)
  classes, counts = np.unique(label, return_counts=True)
  common = classes[np.argsort(-counts, kind='stable')[:guesses]]
  return metrics.Accuracy(right, np.isin(label, common))


_TASKS = {task.kind: task for task in (Grades, Findings, Classes)}


def make(kind: str, names: Sequence[str], data: config.Data) -> Task:
  """Return the task of a kind of labels.

  Args:
    kind: `grade`, `findings` or `label`.
    names: The values of the labels, in the order of the outputs.
    data: The choice of findings, of referable grades, and so on.

  Raises:
    InputError: No such kind, a name that no output can have, or a choice that
      the names do not offer.
  """
  _check_choice('uncertain', data.uncertain, ('mix', 'zeros', 'ones', 'ignore'))
  _check_choice('grade_targets', data.grade_targets, ('one_hot', 'cumulative'))
  if kind not in _TASKS:
    raise errors.InputError(
      f'data set {data.dataset} has none of the features grade, findings, '
      'label; prepare it with prepare_data.py'
    )
  names = tuple(names)
  if kind == Findings.kind:
    for name in data.findings:
      if name not in names:
        raise errors.unknown('finding', name, names)
    names = data.findings or names
  output_names.check(names, kind, f'data set {data.dataset}')
  if kind == Grades.kind:
    cumulative = data.grade_targets == 'cumulative'
    return Grades(names, data.referable_from, cumulative)
  if kind == Findings.kind:
    return Findings(names, data.uncertain)
  return Classes(names)


def to_json(task: Task) -> dict[str, Any]:
  """Return a task as JSON can hold it."""
  return {'kind': task.kind, **dataclasses.asdict(task)}


def from_json(record: Mapping[str, Any]) -> Task:
  """Return the task that `to_json` described.

  Raises:
    InputError: It describes none.
  """
  fields = dict(record)
  try:
    task = _TASKS[fields.pop('kind')]
    return task(**fields | {'names': tuple(fields['names'])})
  except (KeyError, TypeError) as error:
    raise errors.InputError(f'no description of outputs: {error}') from None


def _check_choice(field, value, choices):
  if value not in choices:
    raise errors.unknown(field, value, choices)

"""Scores of probes, pretrained features against random ones, with intervals.

A probe of pretrained features is one function of the test images: its interval
is over the patients. Random features are a sample of networks: the interval of
their mean is over patients and seeds. Their difference is paired on patients.
What is better is judged stage by stage for the linear probe, with p values
adjusted for the number of stages (Holm). The training images are taken as given
by all of this.
"""

from collections.abc import Sequence
import dataclasses

import numpy as np
import pandas as pd

from transfusion_tf import metrics
from transfusion_tf.models import registry
from transfusion_tf.study import probe_files
from transfusion_tf.study import statistics

LINEAR = 'linear'
_LEVEL = 1 - metrics.LEVEL


@dataclasses.dataclass(frozen=True)
class Score:
  """The test score of one kind of features at one stage.

  Attributes:
    stage: Name of the stage.
    width: Number of features.
    setting: What the validation images chose, as text.
    value: Score; the mean over seeds of random features.
    low: Lower end of the 95 % interval.
    high: Its upper end.
    minus_random: The score less that of random features; None for these.
    p_value: That the difference is 0, Holm-adjusted over stages.
  """

  stage: str
  width: int
  setting: str
  value: float
  low: float
  high: float
  minus_random: statistics.Estimate | None = None
  p_value: float = 1.0

  @property
  def is_better(self) -> bool:
    """Whether it is shown to be better than random features."""
    return self._shown_difference > 0

  @property
  def is_worse(self) -> bool:
    return self._shown_difference < 0

  @property
  def _shown_difference(self):
    if self.minus_random is None or self.p_value > _LEVEL:
      return 0.0
    return self.minus_random.value


@dataclasses.dataclass(frozen=True)
class Features:
  """One kind of features of a network, by stage.

  Attributes:
    model: The network.
    source: Name of the pretrained weights; empty for random ones.
    metric: Name of the metric.
    chance: `metrics.Metric.chance`.
    linear: Scores of the linear probe, from the input up.
    knn: Scores of the nearest neighbors.
  """

  model: str
  source: str
  metric: str
  chance: float | None
  linear: Sequence[Score]
  knn: Sequence[Score]


def collect(
  probed: Sequence[probe_files.Probed],
) -> tuple[list[Features], list[str]]:
  """Return the features of all networks, and what could not be scored.

  Of a network, random features come first.
  """
  features, notes = [], []
  for each in probed:
    if each.reason:
      what = each.weights.pretrained or f'random weights {each.weights.seed}'
      notes.append(f'{registry.label(each.model)}, {what}: {each.reason}')
  for model in dict.fromkeys(each.model for each in probed):
    ours = [each for each in probed if each.model == model and each.path]
    random = [each for each in ours if not each.weights.pretrained]
    pretrained = [each for each in ours if each.weights.pretrained]
    groups = [('', random)] if random else []
    groups += [(name_of(each), [each]) for each in pretrained]
    for name, group in groups:
      try:
        features.append(_features(model, name, group, random))
      except (*probe_files.UNREADABLE, UndefinedError) as error:
        notes.append(
          f'{registry.label(model)}, {name or "random weights"}: {error}'
        )
  return features, notes


class UndefinedError(Exception):
  """The metric is not defined on the test images."""


def name_of(probed: probe_files.Probed) -> str:
  """Return what pretrained features are called."""
  return probed.weights.name or 'pretrained'


def table(features: Sequence[Features]) -> pd.DataFrame:
  """Return a row for each network, kind of features, probe and stage."""
  rows = []
  for each in features:
    for probe, scores in (('linear', each.linear), ('knn', each.knn)):
      for score in scores:
        row = {
          'model': each.model,
          'features': each.source or 'random',
          'probe': probe,
          'stage': score.stage,
          'width': score.width,
          'setting': score.setting,
          'metric': each.metric,
          'value': score.value,
          'low': score.low,
          'high': score.high,
        }
        if score.minus_random is not None:
          low, high = score.minus_random.interval()
          row |= {
            'minus_random': score.minus_random.value,
            'minus_random_low': low,
            'minus_random_high': high,
            'p_holm': score.p_value,
          }
        rows.append(row)
  return pd.DataFrame(rows)


def sentence(features: Features) -> str:
  """Return what follows of pretrained features, and no more."""
  name = f'{features.source} features of {registry.label(features.model)}'
  better = [score.stage for score in features.linear if score.is_better]
  worse = [score.stage for score in features.linear if score.is_worse]
  stages = [score.stage for score in features.linear]
  text = f'The {name} are '
  if not better:
    text += 'not shown to be better than random ones at any stage'
  elif better == stages:
    text += 'better than random ones at every stage'
  elif better == stages[: len(better)]:
    text += f'better than random ones up to {better[-1]}'
  else:
    text += f'better than random ones at {_listed(better)}'
  if worse:
    text += f'; they are worse at {_listed(worse)}'
  return f'{text}.'


def _features(model, name, group, random) -> Features:
  first = group[0]
  return Features(
    model,
    name,
    first.metric,
    _metric(first, LINEAR, first.stages[0]).chance,
    *(
      _scores(group, random if name else [], probe) for probe in (LINEAR, 'knn')
    ),
  )


def _scores(group, random, probe) -> list[Score]:
  scores = []
  for stage in group[0].stages:
    values, effects = _measure(group, probe, stage)
    low, high = _interval(group, probe, stage, values, effects)
    difference = None
    if random:
      difference = _difference(values, effects, *_measure(random, probe, stage))
    chosen = [str(each.arrays[f'settings/{probe}/{stage}']) for each in group]
    scores.append(
      Score(
        stage,
        int(group[0].arrays[f'widths/{stage}']),
        ', '.join(dict.fromkeys(chosen)),
        float(np.mean(values)),
        low,
        high,
        difference,
      )
    )
  differences = [score.minus_random for score in scores]
  known = [d for d in differences if d is not None and d.known]
  if len(known) < len(scores):
    return scores
  p_values = statistics.holm([_p_value(each) for each in known])
  return [
    dataclasses.replace(score, p_value=p)
    for score, p in zip(scores, p_values, strict=True)
  ]


def _measure(group, probe, stage):
  """Return the score of each set of weights, and the patients' mean effects."""
  values, effects = [], []
  for each in group:
    metric = _metric(each, probe, stage)
    values.append(float(metric.value()))
    effects.append(metric.effects(_patients(each)))
  return values, metrics.mean_effects(effects)


def _interval(group, probe, stage, values, effects):
  if not group[0].weights.pretrained and len(group) > 1:
    mean = statistics.contrast([1], [values], _over_patients(effects))
    low, high = mean.interval()
  else:
    first = group[0]
    metric = _metric(first, probe, stage)
    low, high = metric.interval(_patients(first))
  return max(low, 0.0), min(high, 1.0)


def _difference(values, effects, random_values, random_effects):
  """Return pretrained less random features: the former are one network."""
  patients = metrics.Effects(
    effects.values - random_effects.values,
    min(effects.most, random_effects.most),
  )
  mean = statistics.contrast([-1], [random_values], _over_patients(patients))
  return dataclasses.replace(
    mean, value=float(np.mean(values) - np.mean(random_values))
  )


def _p_value(difference):
  if difference.value > 0:
    return difference.p_value(above=0)
  return difference.p_value(below=0)


def _over_patients(effects):
  return statistics.Variance(effects.stddev**2, effects.freedom)


def _metric(probed, probe, stage):
  metric = metrics.from_columns(probed.scores(probe, stage), probed.metric)
  if metric.undefined:
    raise UndefinedError(f'{probed.metric} is not defined: {metric.undefined}')
  return metric


def _patients(probed):
  return metrics.patient_numbers(probed.arrays['patient_id'])


def _listed(stages):
  if len(stages) == 1:
    return stages[0]
  return f'{", ".join(stages[:-1])} and {stages[-1]}'

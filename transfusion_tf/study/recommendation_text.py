"""A verdict in sentences."""

from transfusion_tf.models import registry
from transfusion_tf.study import decision
from transfusion_tf.study import display
from transfusion_tf.study import plan as plan_lib
from transfusion_tf.study import statistics


def recommendation(
  reached: decision.Verdict, runs: decision.Runs, margin: float
) -> list[str]:
  """Return what the verdict says to do, in sentences."""
  chosen, yardstick = reached.recommended, reached.yardstick
  if chosen is None:
    lacking = 'validation' if runs else 'test'
    return [
      f'No model can be recommended: the {lacking} score is not defined, for '
      'that split lacks a class.',
      *(f'{name(e.model)}: {_sentence(e, margin)}' for e in reached.effects),
    ]
  model, start = chosen.model, chosen.start
  sentences = [f'Take {name(model)} from {_start(start)}.']
  if chosen is not yardstick:
    sentences.append(
      f'It is not worse than {name(yardstick.model)}, the best on validation, '
      f'by {margin:g} or more: the difference of their test scores is '
      f'{interval(chosen.shortfall, signed=True)}.'
    )
  elif len(reached.candidates) > 1:
    smaller = reached.candidates[: reached.candidates.index(chosen)]
    sentences.append(
      'It was the best on validation'
      + (
        ', and no smaller model is shown to be as good.'
        if smaller
        else ' and is the smallest of them.'
      )
    )
  sentences += [
    _sentence(effect, margin)
    for effect in reached.effects
    if effect.model == model
  ]
  effect = reached.effect(model, start)
  if effect and effect.word != decision.HELPS:
    sentences.append(
      'The intervals do not show that random weights are worse: they will do '
      'if pretrained ones are not at hand.'
    )
  if all(len(seeds) == 1 for seeds in runs[model].values()):
    sentences.append(
      'There is one seed each, so the intervals know nothing of the spread '
      'between seeds: give --seeds=3 or more before you rely on this.'
    )
  return sentences


def _sentence(effect, margin):
  value = interval(effect.difference, signed=True)
  said = {
    decision.HELPS: 'helps',
    decision.HURTS: 'hurts',
    decision.SAME: f'makes no difference of {margin:g} or more',
    decision.OPEN: 'may help or hurt: more patients or seeds would tell',
  }
  return (
    f'{_start(effect.start)} against random ones: {value}; this start '
    f'{said[effect.word]}.'
  )


def name(model: str) -> str:
  """Return what texts call a model."""
  return registry.label(model)


def _start(start):
  if start == plan_lib.RANDOM:
    return 'random weights'
  return f'{display.scheme(start).label} weights'


def interval(estimate: statistics.Estimate, signed: bool = False) -> str:
  """Return a value and its interval."""
  form = '{:+.3f}' if signed else '{:.3f}'
  value = form.format(estimate.value)
  if not estimate.known:
    return f'{value} (interval unknown)'
  ends = (form.format(estimate.low), form.format(estimate.high))
  return f'{value} (95 % interval {ends[0]} to {ends[1]})'

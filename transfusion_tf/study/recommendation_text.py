"""The decision on a study in sentences."""

from transfusion_tf.init import schemes
from transfusion_tf.models import registry
from transfusion_tf.study import decision
from transfusion_tf.study import display
from transfusion_tf.study import plan as plan_lib


def recommendation(
  decided: decision.Decision, runs: decision.Runs, margin: float
) -> list[str]:
  """Return the recommendation in sentences."""
  chosen, reference = decided.recommended, decided.reference
  if chosen is None or reference is None:
    return [
      f'No model can be recommended: {_reason(reference, runs)}.',
      *map(at_chance, decided.at_chance),
      *(
        f'{registry.label(e.model)}: {_sentence(e, margin)}'
        for e in decided.effects
      ),
    ]
  model, start = chosen.model, chosen.start
  sentences = [f'Take {registry.label(model)} from {_start(start)}.']
  if chosen.deficit is not None:
    sentences.append(
      f'It is not worse than {registry.label(reference.model)}, the best on '
      f'validation, by {margin:g} or more: the difference of their test scores '
      f'is {chosen.deficit.text()}.'
    )
  elif len(decided.candidates) > 1:
    smaller = decided.candidates[: decided.candidates.index(chosen)]
    sentences.append(
      'It was the best on validation'
      + (
        ', and no smaller model is shown to be as good.'
        if smaller
        else ' and is the smallest of them.'
      )
    )
  sentences += [at_chance(t) for t in decided.at_chance if t.model == model]
  sentences += [
    _sentence(effect, margin)
    for effect in decided.effects
    if effect.model == model
  ]
  effect = decided.effect(model, start)
  silent = (decision.HELPS, decision.NONE)
  if effect and effect.difference.known and effect.verdict not in silent:
    sentences.append(
      'The intervals do not show that random weights are worse: they can be '
      'used where pretrained ones are not available.'
    )
  sentences += _endings(model, runs[model])
  if all(len(seeds) == 1 for seeds in runs[model].values()):
    sentences.append(
      'There is one seed each: two networks of one kind differ as well, by how '
      'much is not known, and no verdict follows. Give --seeds=3 or more.'
    )
  return sentences


def at_chance(test: decision.ChanceTest) -> str:
  """Return a sentence on a start that is not better than chance."""
  score = test.score
  return (
    f'{registry.label(test.model)} from {_start(test.start)} is not shown to '
    f'be better than chance (test score {score.value:.3f}, 95 % interval '
    f'{score.low:.3f} to {score.high:.3f}; chance is {test.chance:.3f}), so '
    'that no comparison with it gives a verdict.'
  )


def _endings(model, starts):
  """Yield what a longer training may change."""
  trained = [run for seeds in starts.values() for run in seeds]
  if improving := sum(run.is_improving for run in trained):
    yield (
      f'{improving} of the {len(trained)} runs of {registry.label(model)} were '
      'still improving when they ended: longer ones may end otherwise. Give '
      'more --epochs.'
    )


def _reason(reference, runs):
  if reference is not None:
    return (
      f'{registry.label(reference.model)} from {_start(reference.start)}, the '
      'best on validation, is not shown to be better than chance'
    )
  lacking = 'validation' if runs else 'test'
  return f'the {lacking} score is not defined, for that split lacks a class'


def _sentence(effect, margin):
  value = effect.difference.text()
  verdict = {
    decision.HELPS: 'helps',
    decision.HURTS: 'hurts',
    decision.SAME: f'makes no difference of {margin:g} or more',
    decision.OPEN: 'may help or hurt: more seeds or patients would tell',
    decision.NONE: 'gets no verdict',
  }[effect.verdict]
  if effect.improving:
    sides = ' and '.join(_start(side) for side in effect.improving)
    verdict += f', and most runs from {sides} were still improving'
  start = _start(effect.start)
  return f'{start} against random ones: {value}; this start {verdict}.'


def _start(start):
  if start == plan_lib.RANDOM:
    return 'random weights'
  label = display.start(start).label
  return f'{label} weights' if start in schemes.names() else f'“{label}”'

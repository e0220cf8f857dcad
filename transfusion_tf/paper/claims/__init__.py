"""The paper's nineteen claims.

`verdicts` says how a verdict comes about, `accuracy`, `features` and `speed`
hold the tests; values/claims.json has the texts.
"""

from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import initializations as init_lib
from transfusion_tf.paper import published_values
from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper.claims import accuracy
from transfusion_tf.paper.claims import features
from transfusion_tf.paper.claims import speed
from transfusion_tf.paper.claims import verdicts


def judge_all(study: study_lib.Study) -> list[verdicts.Judgement]:
  """Return the verdicts on all nineteen, in order."""
  return [verdicts.judge(claim, study) for claim in CLAIMS]


def _random_and_transfer(*models):
  return lambda _: figure_specs.make_groups(
    figure_specs.RETINA, models, figure_specs.BOTH
  )


def _retina(model, *inits, images=0):
  return lambda _: figure_specs.retina(model, *inits, images=images)


def _panels(figure):
  return lambda study: [
    group
    for panel in figure_specs.PANELS[figure](study.scale)
    for group in panel.groups
    # Random weights may be slow: that is the claim.
    if group.initialization != init_lib.RANDOM
  ]


def _ablation(inits):
  return lambda study: figure_specs.retina(study.scale.ablation_model, *inits)


def _fixed_imagenet(study):
  return [
    group
    for model in study.scale.fixed['figure12']
    for group in figure_specs.fixed('figure12', model)['imagenet']
  ]


_ALL_MODELS = _random_and_transfer(*figure_specs.ALL_MODELS)
_NONE = _random_and_transfer()  # Of no network.
# Test of a claim, and the groups that must have learned their task.
_TESTS = {
  1: (accuracy.transfer_gains_nothing, _ALL_MODELS),
  2: (
    accuracy.small_is_enough,
    _random_and_transfer('resnet50', *figure_specs.CBR),
  ),
  3: (accuracy.accuracy_predicts_nothing, _ALL_MODELS),
  4: (
    accuracy.small_data_helps_large_only,
    _retina('resnet50', init_lib.TRANSFER, images=5_000),
  ),
  5: (
    accuracy.closed_by_50k,
    _retina('resnet50', *figure_specs.BOTH, images=50_000),
  ),
  6: (features.pretrained_differ_if_large, _NONE),
  7: (features.large_move_less, _NONE),
  8: (features.initialization_outlasts_in_conv1, _NONE),
  9: (features.reuse_is_low, _NONE),
  10: (features.small_erases_gabors, _NONE),
  11: (speed.mean_var_is_faster, _panels('figure6')),
  12: (speed.conv1_gains_most, _panels('figure7')),
  13: (
    speed.slim_is_enough,
    _retina('resnet50', init_lib.TRANSFER, init_lib.SLIM),
  ),
  14: (speed.gabors_are_enough, _panels('figure8')),
  15: (speed.identity_is_best, _ablation(figure_specs.BATCH_NORMS)),
  16: (speed.resamplings_are_alike, _ablation(figure_specs.RESAMPLINGS)),
  17: (accuracy.fixed_pretrained_features, _fixed_imagenet),
  18: (accuracy.no_co_adaptation, _fixed_imagenet),
  19: (speed.random_slim_is_slower, _retina('resnet50', init_lib.SLIM)),
}
CLAIMS = tuple(
  verdicts.Claim(
    claim['number'],
    claim['text'],
    claim['reference'],
    claim['scale'],
    *_TESTS[claim['number']],
  )
  for claim in published_values.read('claims')
)

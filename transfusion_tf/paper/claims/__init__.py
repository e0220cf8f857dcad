"""The paper's nineteen claims.

`CLAIMS` lists them in the paper's order; `judging` says how a verdict comes
about, accuracy, features and speed hold the tests.
"""

from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import initializations
from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper.claims import accuracy
from transfusion_tf.paper.claims import features
from transfusion_tf.paper.claims import groups
from transfusion_tf.paper.claims import speed
from transfusion_tf.paper.claims import verdicts


def judge_all(study: study_lib.Study) -> list[verdicts.Judgement]:
  """All nineteen, in order."""
  return [verdicts.judge(claim, study) for claim in CLAIMS]


def _random_and_transfer(*models):
  return lambda _: [
    g for m in models for g in groups.retina(m, *figure_specs.BOTH)
  ]


def _retina(model, *of, images=0):
  return lambda _: groups.retina(model, *of, images=images)


def _panels(*figures):
  return lambda study: [
    group
    for figure in figures
    for panel in figure_specs.panels(figure, study.scale)
    for group in panel.groups
    if group.start.name != 'random'  # May be slow: that is the claim.
  ]


def _fixed_imagenet(study):
  return [
    group
    for model in study.scale.fixed['figure12']
    for group in figure_specs.fixed(figure_specs.RETINA, model)['imagenet']
  ]


_DATA = 'The gain depends on how much data and how many steps there are.'
_SMALL_IMAGES = (
  'At small images few patches are left in the upper stages, and the noise '
  'floor of CCA is high.'
)
_SHORT = 'A short run ends before fast and slow starts have met.'
_PRETRAINING = (
  'Pretraining on few images of few classes gives poorer features than '
  'ImageNet.'
)

CLAIMS = tuple(
  verdicts.Claim(number, *claim)
  for number, claim in enumerate(
    [
      (
        'Transfer gains next to no AUC: a fraction of a percent at most.',
        'Section 3, Table 1',
        _SHORT + ' Few test patients make intervals wide.',
        accuracy.transfer_gains_nothing,
        _random_and_transfer(*figure_specs.ALL_MODELS),
      ),
      (
        'Small CBR networks do about as well as ResNet-50.',
        'Section 3, Table 1',
        'On small images with few steps, large networks are at a loss.',
        accuracy.small_is_enough,
        _random_and_transfer('resnet50', *figure_specs.CBR),
      ),
      (
        'Accuracy on ImageNet does not predict the medical AUC. (In Table 1 '
        'the AUC rises by 1.0 point along the line through all networks, the '
        'accuracy by 26.)',
        'Section 3, Table 1',
        _PRETRAINING + ' Networks see images of different sizes.',
        accuracy.accuracy_predicts_nothing,
        _random_and_transfer(*figure_specs.ALL_MODELS),
      ),
      (
        'With 5000 images, transfer helps the large network (2.4 points) and '
        'hardly the CBR networks (0.3, 0.1).',
        'Section 3, Table 3',
        _DATA,
        accuracy.small_data_helps_large_only,
        _retina('resnet50', initializations.TRANSFER, images=5_000),
      ),
      (
        'By 50 000 images the gap has closed.',
        'Appendix B, Table 4',
        _DATA,
        accuracy.closed_by_50k,
        _retina('resnet50', *figure_specs.BOTH, images=50_000),
      ),
      (
        'Large networks end elsewhere when they start pretrained; CBR '
        'networks do not.',
        'Section 4, Figure 2',
        _SMALL_IMAGES,
        features.pretrained_differ_if_large,
        _random_and_transfer(*figure_specs.ALL_MODELS),
      ),
      (
        'Large networks move less in training, even from random weights, and '
        'their lowest stages least.',
        'Section 4, Figure 3',
        'Few steps move every network little.',
        features.large_move_less,
        _retina('resnet50', initializations.RANDOM),
      ),
      (
        'Only in the first convolution of ResNet-50 does similarity at the '
        'start tell similarity after training.',
        'Appendix D, Figure 4',
        _SMALL_IMAGES + ' Few steps keep the start alive everywhere.',
        features.start_outlasts_in_conv1,
        _random_and_transfer(*figure_specs.CCA_MODELS),
      ),
      (
        'Features are reused in the lowest two stages and hardly above.',
        'Sections 4 and 5, Table 5',
        _SMALL_IMAGES + ' ' + _PRETRAINING,
        features.reuse_is_low,
        _random_and_transfer('resnet50'),
      ),
      (
        'CBR-Small learns no Gabor filters from random weights, and erases '
        'pretrained ones.',
        'Section 4, Figure 5',
        'A short pretraining on small images makes few Gabors to erase.',
        features.small_erases_gabors,
        _random_and_transfer('cbr_small'),
      ),
      (
        'Mean Var alone makes training faster.',
        'Section 5, Figure 6',
        _SHORT,
        speed.mean_var_is_faster,
        _panels('figure6'),
      ),
      (
        'Of all stages, reusing conv1 gains most speed.',
        'Section 5, Figure 7',
        _PRETRAINING,
        speed.conv1_gains_most,
        _panels('figure7'),
      ),
      (
        'Pretrained to block2 with half-width blocks above is as good and as '
        'fast as transfer.',
        'Section 5, Figure 8',
        _SHORT,
        speed.slim_is_enough,
        _retina('resnet50', initializations.TRANSFER, initializations.SLIM),
      ),
      (
        'Gabor filters do what a pretrained conv1 does.',
        'Section 5, Figure 8',
        _PRETRAINING,
        speed.gabors_are_enough,
        _panels('figure8'),
      ),
      (
        'Under Mean Var, batch norm at identity is as good as any other.',
        'Appendix F.1, Figure 17',
        'Batch norm settles within few steps at its shortened momentum.',
        speed.identity_is_best,
        lambda study: groups.retina(
          study.scale.probe, *figure_specs.BATCH_NORMS
        ),
      ),
      (
        'Mean Var, sampling and shuffling are alike.',
        'Appendix F.2, Figure 18',
        _SHORT,
        speed.resamplings_are_alike,
        lambda study: groups.retina(
          study.scale.probe, *figure_specs.RESAMPLINGS
        ),
      ),
      (
        'Fixed ImageNet features beat fixed random ones on RETINA; on CheXpert '
        'the gap is small.',
        'Appendix E, Figures 12 and 13',
        _PRETRAINING,
        accuracy.fixed_pretrained_features,
        _fixed_imagenet,
      ),
      (
        'Random weights above fixed pretrained ones lose nothing: there is no '
        'co-adaptation to break.',
        'Appendix E, Figure 12',
        _SHORT,
        accuracy.no_co_adaptation,
        _fixed_imagenet,
      ),
      (
        'The half-width network from random weights is slower than its hybrid.',
        'Appendix F.4, Figure 20',
        _SHORT,
        speed.random_slim_is_slower,
        _retina('resnet50', initializations.SLIM),
      ),
    ],
    start=1,
  )
)

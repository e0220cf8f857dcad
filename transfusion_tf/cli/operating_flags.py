"""Flags of operating points: what validation has to show at a threshold."""

from absl import flags

from transfusion_tf.metrics import operating_points

SPECIFICITY = flags.DEFINE_float(
  'specificity',
  operating_points.SPECIFICITY,
  'On validation, at the threshold of high specificity.',
  0.5,
  1,
)
SENSITIVITY = flags.DEFINE_float(
  'sensitivity',
  operating_points.SENSITIVITY,
  'On validation, at the threshold of high sensitivity.',
  0.5,
  1,
)


def targets() -> tuple[operating_points.Target, operating_points.Target]:
  """Return the two operating points that the flags ask for."""
  return operating_points.targets(SPECIFICITY.value, SENSITIVITY.value)

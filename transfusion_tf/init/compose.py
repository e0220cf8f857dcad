"""Schemes composed by stage, by role, up to a stage or from a config."""

from collections.abc import Mapping

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf.init import gabor
from transfusion_tf.init import schemes
from transfusion_tf.init import types
from transfusion_tf.models import stages as stages_lib

# Values of `config.Init` besides the scheme.
BN_INITS = ('identity', 'mean_var', 'transfer')
CONV1S = ('scheme', 'gabor', 'transfer', 'random')


def by_stage(
  stages: stages_lib.Stages,
  parts: Mapping[str, types.Scheme],
  default: types.Scheme,
) -> types.Scheme:
  """Return one scheme for each named stage, `default` for the others.

  Raises:
    InputError: `parts` names no stage.
  """
  for name in parts:
    if name not in stages.names:
      raise errors.unknown('stage', name, stages.names)
  return lambda weight: parts.get(weight.stage, default)(weight)


def by_role(default: types.Scheme, **parts: types.Scheme) -> types.Scheme:
  """Return one scheme for each named role of `types.ROLES`, or `default`.

  Raises:
    InputError: `parts` names no role.
  """
  for name in parts:
    if name not in types.ROLES:
      raise errors.unknown('role', name, types.ROLES)
  return lambda weight: parts.get(weight.role, default)(weight)


def up_to(
  stages: stages_lib.Stages,
  name: str,
  scheme: types.Scheme,
  above: types.Scheme | None = None,
) -> types.Scheme:
  """Return weight transfusion: `scheme` up to a stage, random above."""
  return by_stage(
    stages,
    dict.fromkeys(stages.up_to(name), scheme),
    default=above or schemes.random(),
  )


def replaced(
  scheme: types.Scheme, values: types.Arrays, name: str
) -> types.Scheme:
  """Return `scheme`, but for the weights whose `values` are given.

  Args:
    scheme: The scheme of the others.
    values: Path -> initial value.
    name: What reports call these.
  """

  def initial_value(weight):
    if weight.path in values:
      return types.InitialValue(values[weight.path], name)
    return scheme(weight)

  return initial_value


def from_config(
  init: config.Init,
  source: types.Arrays | None,
  stages: stages_lib.Stages,
  slim_from: str = '',
) -> types.Scheme:
  """Return the scheme of a run's configuration.

  The head is random unless `upto` names it; then it has to fit too. In a slim
  hybrid all stages from its first narrow one up are random.

  Args:
    init: The configuration.
    source: Pretrained weights, or None.
    stages: The model's stages.
    slim_from: The model's first stage at half width; none if empty.

  Raises:
    InputError: An unknown name, a source that is missing or that nothing
      uses, or values that exclude one another.
  """
  _check(init, source)
  reached = _reached(init.upto, stages, slim_from)
  parts = dict.fromkeys(reached, _main(init, source))
  if init.upto == stages_lib.HEAD:
    parts[stages_lib.HEAD] = _fitting(parts[stages_lib.HEAD])
  scheme = by_stage(stages, parts, default=schemes.random())
  if init.conv1 == 'scheme':
    return scheme
  if stages.names[0] == stages_lib.BODY:
    raise errors.InputError(
      f'conv1={init.conv1} is for the first stage, here the whole body: return '
      'stages of which the first is the first convolution'
    )
  conv1 = _conv1(init.conv1, source)
  return by_stage(stages, {stages.names[0]: conv1}, default=scheme)


def _check(init, source):
  chosen = {
    'init': (init.scheme, schemes.names()),
    'bn_init': (init.bn_init, BN_INITS),
    'conv1': (init.conv1, CONV1S),
  }
  for flag, (name, known) in chosen.items():
    if name not in known:
      raise errors.unknown(flag, name, known)
  users = [
    f'{f}={name}'
    for f, (name, _) in chosen.items()
    if name in schemes.FROM_SOURCE
  ]
  if users and source is None:
    raise errors.InputError(
      f'{users[0]} needs weights: name a run or a file as pretrained'
    )
  if source is not None and not users and init.conv1 != 'gabor':
    raise errors.InputError(
      f'init={init.scheme} uses no pretrained weights, but some are given: '
      f'choose an init ({", ".join(schemes.FROM_SOURCE)}) or leave them out'
    )
  if init.scheme == 'transfer' and init.bn_init == 'mean_var':
    raise errors.InputError(
      'bn_init=mean_var does not go with init=transfer, which takes batch '
      'norm along'
    )


def _reached(up_to, stages, slim_from):
  """Return the stages that the scheme initializes; others are random."""
  if not up_to:
    last = slim_from or stages_lib.HEAD
    return stages.up_to(last)[:-1] if last in stages.names else stages.names
  reached = stages.up_to(up_to)
  if slim_from in reached:
    raise errors.InputError(
      f'upto={up_to} reaches into the half-width stages, which begin '
      f'with {slim_from} and start random'
    )
  return reached


def _fitting(scheme):
  """Return a scheme that refuses what `apply` would draw at random."""

  def fitting(weight):
    try:
      return scheme(weight)
    except types.WeightMismatch as mismatch:
      raise errors.InputError(f'upto={stages_lib.HEAD}: {mismatch}') from None

  return fitting


def _main(init, source):
  if init.scheme == 'transfer':
    return schemes.transfer(source)
  bn = {
    'identity': schemes.identity,
    'mean_var': lambda: schemes.mean_var(source),
    'transfer': lambda: schemes.transfer(source),
  }[init.bn_init]()
  if init.scheme == 'random':
    return by_role(schemes.random(), bn=bn)
  return by_role(schemes.FROM_SOURCE[init.scheme](source), bn=bn)


def _conv1(name, source):
  if name == 'transfer':
    return schemes.transfer(source)
  if name == 'random':
    return schemes.random()
  like = schemes.random() if source is None else schemes.transfer(source)
  return by_role(schemes.random(), kernel=gabor.filters(like))

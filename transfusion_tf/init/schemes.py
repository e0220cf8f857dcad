"""Schemes: where one weight of a network starts (Section 5, Appendix F).

A scheme is a callable `Weight -> Start` and a noun, e.g. `mean_var(source)`.
A source is a mapping {path: array}, as `weights.load` returns; a weight that
it lacks, or has in another shape, raises `Misfit`. Random numbers come from
`weight.rng`, one stream for each path and seed, so that neither the order of
the layers nor the device changes a draw. `compose` joins schemes by stage and
by role; `init.apply` runs one over a model.
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses

import keras
import numpy as np

from transfusion_tf import errors

Source = Mapping[str, np.ndarray]

KERNEL, BIAS, BN, STATE = ROLES = ('kernel', 'bias', 'bn', 'state')
_NORMALIZERS = (
  keras.layers.BatchNormalization,
  keras.layers.GroupNormalization,
  keras.layers.LayerNormalization,
)
# Batch norm that changes nothing: (x - 0) / 1 * 1 + 0.
_IDENTITY = {'gamma': 1, 'beta': 0, 'moving_mean': 0, 'moving_variance': 1}


class Misfit(errors.InputError):
  """A source lacks a weight (`there` is None), or has it in another shape."""

  def __init__(self, source, weight, there):
    self.source, self.path, self.there = source, weight.path, there
    super().__init__(
      f'{weight.path}: {there or "nothing"} in {name_of(source)}, '
      f'{weight.shape} in the model'
    )


@dataclasses.dataclass(frozen=True)
class Weight:
  """One weight of a model.

  Attributes:
    variable: The weight itself.
    layer: The layer that owns it.
    stage: Name of its stage.
    rng: Its own stream of random numbers.
  """

  variable: keras.Variable
  layer: keras.layers.Layer
  stage: str
  rng: np.random.Generator

  @property
  def path(self) -> str:
    return self.variable.path

  @property
  def name(self) -> str:
    """The last part of its path: `kernel`, `gamma`, `moving_mean`, ..."""
    return self.path.rsplit('/', 1)[-1]

  @property
  def shape(self) -> tuple[int, ...]:
    return tuple(self.variable.shape)

  @property
  def role(self) -> str:
    """`bn` in batch norm and its kin, `bias`, `kernel`, or `state`.

    A state is what a layer without trainable weights keeps, such as the
    statistics of `keras.layers.Normalization`: no feature, and never drawn.
    """
    if isinstance(self.layer, _NORMALIZERS):
      return BN
    if isinstance(self.layer, keras.layers.Normalization):
      return STATE
    return BIAS if self.name == 'bias' else KERNEL


@dataclasses.dataclass(frozen=True)
class Start:
  """The values a weight starts with, and where they came from."""

  values: np.ndarray
  scheme: str
  source: Source | None = None
  note: str = ''


Scheme = Callable[[Weight], Start]


def name_of(source: Source) -> str:
  """What messages and reports call a source."""
  return getattr(source, 'name', 'the source')


def random() -> Scheme:
  """A draw from the initializer that the weight's layer was built with."""

  def scheme(weight):
    if weight.role == STATE:
      return keep()(weight)
    return Start(_drawn(weight), 'random')

  return scheme


def keep() -> Scheme:
  """What the weight holds already."""
  return lambda weight: Start(np.asarray(weight.variable), 'keep')


def identity() -> Scheme:
  """Batch norm that changes nothing: the paper's default (Appendix F.1)."""

  def scheme(weight):
    if weight.name not in _IDENTITY:
      raise errors.InputError(
        f'{weight.path}: identity is for {", ".join(_IDENTITY)}'
      )
    return Start(np.full(weight.shape, _IDENTITY[weight.name]), 'identity')

  return scheme


def transfer(source: Source) -> Scheme:
  """The source's own values."""
  return lambda weight: Start(_of(source, weight), 'transfer', source)


def mean_var(source: Source) -> Scheme:
  """I.i.d. N(mean, var) of the source's values, weight by weight (Section 5).

  Moving variances must stay positive, so they are drawn from the log-normal
  distribution of that mean and variance; the paper leaves this open.
  """
  return _redrawn('mean_var', _gaussian, source)


def sampling(source: Source) -> Scheme:
  """I.i.d. draws from the source's values, weight by weight (Appendix F.2)."""
  return _redrawn(
    'sampling',
    lambda weight, values: weight.rng.choice(values.ravel(), values.shape),
    source,
  )


def shuffled(source: Source) -> Scheme:
  """A permutation of the source's values, weight by weight (Appendix F.2)."""
  return _redrawn(
    'shuffled',
    lambda weight, values: weight.rng.permutation(values.ravel()).reshape(
      values.shape
    ),
    source,
  )


def _redrawn(name, draw, source):
  def scheme(weight):
    if weight.role == STATE:
      return transfer(source)(weight)
    return Start(draw(weight, _of(source, weight)), name, source)

  return scheme


def _of(source, weight):
  if weight.path not in source:
    raise Misfit(source, weight, there=None)
  values = np.asarray(source[weight.path])
  if values.shape != weight.shape:
    raise Misfit(source, weight, there=values.shape)
  if not np.isfinite(values).all():
    raise errors.InputError(
      f'{weight.path} {values.shape}: {name_of(source)} has NaN or infinity '
      'there'
    )
  return values


def _gaussian(weight, values):
  mean, variance = values.mean(dtype=float), values.var(dtype=float)
  if weight.name == 'moving_variance':
    return _log_normal(weight, mean, variance)
  return weight.rng.normal(mean, np.sqrt(variance), weight.shape)


def _log_normal(weight, mean, variance):
  if mean <= 0:
    raise errors.InputError(
      f'{weight.path}: the mean of the source is {mean:g}; variances are '
      'positive'
    )
  # exp(N(m, s2)) has mean exp(m + s2/2) and variance mean^2 (exp(s2) - 1).
  s2 = np.log1p(variance / mean**2)
  return weight.rng.lognormal(np.log(mean) - s2 / 2, np.sqrt(s2), weight.shape)


def _drawn(weight):
  initializer = _initializer(weight)
  settings = initializer.get_config()
  if 'seed' in settings:
    # Keras would draw the next numbers of a global stream, or always the same.
    settings['seed'] = int(weight.rng.integers(2**31))
    initializer = type(initializer).from_config(settings)
  # The same kernel of random numbers whatever accelerator is there.
  with keras.device('cpu:0'):
    return np.asarray(initializer(weight.shape, weight.variable.dtype))


def _initializer(weight):
  # Layers name it after the weight, but DepthwiseConv2D's `kernel` goes by
  # `depthwise_initializer` and `pointwise_kernel` by `pointwise_initializer`.
  for name in (weight.name, weight.name.removesuffix('_kernel'), 'depthwise'):
    initializer = getattr(weight.layer, f'{name}_initializer', None)
    if initializer is not None:
      return initializer
  raise errors.InputError(
    f'{weight.path}: its layer ({type(weight.layer).__name__}) names no '
    'initializer for it; give it a scheme of its own, e.g. keep()'
  )

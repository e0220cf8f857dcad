"""Schemes: the initial value of one weight (Section 5, Appendix F).

A scheme is a callable `Weight -> InitialValue` and a noun, e.g.
`mean_var(source)`. A source is a mapping {path: array}, as `weights.load`
returns; a weight that it lacks, or has in another shape, raises
`types.WeightMismatch`. Random numbers come from `weight.rng`, one stream for
each path and seed, so that neither the order of the layers nor the device
changes a draw. `compose` joins schemes by stage and by role; `init.apply` runs
one over a model. A scheme with a source joins runs and studies with one line,
`@register(NAME)`.
"""

from __future__ import annotations

from collections.abc import Callable

from etils import epy
import numpy as np

from transfusion_tf import errors
from transfusion_tf.init import types
from transfusion_tf.models import graph as graph_lib
from transfusion_tf.models import initializers

with epy.lazy_imports():  # Help does without.
  import keras

# Batch norm that changes nothing: (x - 0) / 1 * 1 + 0.
_IDENTITY = {
  'gamma': 1,
  'scale': 1,  # Of RMSNormalization.
  'beta': 0,
  'moving_mean': 0,
  'moving_variance': 1,
}

# Name -> function of the given weights; `random` alone takes none.
FROM_SOURCE: dict[str, Callable[[types.Arrays], types.Scheme]] = {}
RANDOM = 'random'


def register(name: str) -> Callable[[Callable], Callable]:
  """Return a decorator that makes a scheme known as `name`, e.g. to --init.

  Raises:
    ValueError: The name is taken.
  """
  if name in names():
    raise ValueError(f'there is a scheme {name!r} already')

  def add(scheme):
    FROM_SOURCE[name] = scheme
    return scheme

  return add


def names() -> tuple[str, ...]:
  """Return what `config.Init.scheme` may be."""
  return (RANDOM, *FROM_SOURCE)


def random() -> types.Scheme:
  """Return a draw from the initializer that the weight's layer has."""

  def scheme(weight):
    if weight.role == graph_lib.STATE:
      return keep()(weight)
    return types.InitialValue(_draw(weight), 'random')

  return scheme


def keep() -> types.Scheme:
  """Return the present value of the weight."""
  return lambda weight: types.InitialValue(np.asarray(weight.variable), 'keep')


def identity() -> types.Scheme:
  """Return batch norm that changes nothing, the default of Appendix F.1."""

  def scheme(weight):
    if weight.name not in _IDENTITY:
      raise errors.InputError(
        f'{weight.path}: identity is for {", ".join(_IDENTITY)}'
      )
    return types.InitialValue(
      np.full(weight.shape, _IDENTITY[weight.name]), 'identity'
    )

  return scheme


@register('transfer')
def transfer(source: types.Arrays) -> types.Scheme:
  """Return the source's own values."""
  return lambda weight: types.InitialValue(
    _read(source, weight), 'transfer', source
  )


@register('mean_var')
def mean_var(source: types.Arrays) -> types.Scheme:
  """Return i.i.d. N(mean, var) of the source's values, by weight (Section 5).

  Moving variances must stay positive, so they are drawn from the log-normal
  distribution of that mean and variance; the paper leaves this open.
  """
  return _redrawn('mean_var', _gaussian, source)


@register('sampling')
def sampling(source: types.Arrays) -> types.Scheme:
  """Return i.i.d. draws of the source's values, by weight (Appendix F.2)."""
  return _redrawn(
    'sampling',
    lambda weight, values: weight.rng.choice(values.ravel(), values.shape),
    source,
  )


@register('shuffled')
def shuffled(source: types.Arrays) -> types.Scheme:
  """Return a permutation of the source's values, by weight (Appendix F.2)."""
  return _redrawn(
    'shuffled',
    lambda weight, values: weight.rng.permutation(values.ravel()).reshape(
      values.shape
    ),
    source,
  )


def _redrawn(name, draw, source):
  def scheme(weight):
    if weight.role == graph_lib.STATE:
      return transfer(source)(weight)
    values = draw(weight, _read(source, weight))
    return types.InitialValue(values, name, source)

  return scheme


def _read(source, weight):
  if weight.path not in source:
    raise types.WeightMismatch(source, weight, None)
  values = np.asarray(source[weight.path])
  if values.shape != weight.shape:
    raise types.WeightMismatch(source, weight, values.shape)
  if not np.isfinite(values).all():
    raise errors.InputError(
      f'{weight.path} {values.shape}: NaN or infinity in '
      f'{types.name_of(source)}'
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


def _draw(weight):
  initializer = initializers.for_weight(weight.weight)
  if initializer is None:
    return _constant(weight)
  # A plain function is an initializer too, without configuration or seed.
  config = getattr(initializer, 'get_config', dict)()
  if 'seed' in config:
    # Keras would draw the next numbers of a global stream, or always the same.
    config['seed'] = int(weight.rng.integers(2**31))
    initializer = type(initializer).from_config(config)
  # The same generator of random numbers whatever the accelerator.
  with keras.device('cpu:0'):
    return np.asarray(initializer(weight.shape, weight.variable.dtype))


def _constant(weight):
  """Return the present values, if they are all one: not drawn, then."""
  values = np.asarray(weight.variable)
  if values.size and (values == values.flat[0]).all():
    return values
  raise errors.InputError(
    f'{weight.path}: its layer ({type(weight.layer).__name__}) names no '
    'initializer for it; give it a scheme of its own, e.g. keep()'
  )

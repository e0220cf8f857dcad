"""One call of `cca_core.get_cca_similarity`: ours, the published way, BLAS.

The published way inverts both covariances, then takes their roots. BLAS's
limit is the product of all neurons with themselves. CPU seconds of one thread.
"""

from collections.abc import Iterator
import statistics
import time

import numpy as np
import threadpoolctl

from svcca import cca_core

_SIZES = {64: 15, 256: 7, 512: 5}  # Neurons of each network -> rounds.
_DATAPOINTS, _EPSILON = 20_000, 1e-10


def suite() -> Iterator[tuple[str, float, str]]:
  """Yield what was measured: (name, figure, unit)."""
  with threadpoolctl.threadpool_limits(1):
    for dtype in (np.float32, np.float64):
      for size, rounds in _SIZES.items():
        ours, published, product = _medians(size, dtype, rounds)
        name = f'd = {size}, {dtype.__name__}'
        yield f'{name}, get_cca_similarity', 1e3 * ours, 'ms'
        yield f'{name}, the published way', 1e3 * published, 'ms'
        yield f'{name}, the product alone', 1e3 * product, 'ms'
        yield f'{name}, published / ours', published / ours, 'x'
        yield f'{name}, ours / product', ours / product, 'x'


def _medians(size, dtype, rounds):
  rng = np.random.default_rng(0)
  acts = [
    rng.standard_normal((size, _DATAPOINTS)).astype(dtype) for _ in range(2)
  ]
  both = np.concatenate(acts, dtype=np.float64)
  ways = (
    lambda: cca_core.get_cca_similarity(*acts, _EPSILON, verbose=False),
    lambda: _published(*acts),
    lambda: both @ both.T,
  )
  seconds: list[list[float]] = [[] for _ in ways]
  for _ in range(rounds):
    for way, times in zip(ways, seconds, strict=True):
      began = time.process_time()
      way()
      times.append(time.process_time() - began)
  return map(statistics.median, seconds)


def _published(acts1, acts2):
  size = len(acts1)
  covariance = np.cov(acts1, acts2)
  roots = []
  for part in (slice(size), slice(size, None)):
    own = covariance[part, part] / np.max(np.abs(covariance[part, part]))
    inverse = np.linalg.pinv(own + _EPSILON * np.eye(len(own)))
    values, vectors = np.linalg.eigh(inverse)
    roots.append(vectors @ np.diag(np.sqrt(values)) @ vectors.T)
  cross = covariance[:size, size:]
  means = [np.mean(acts, axis=1) for acts in (acts1, acts2)]
  return np.linalg.svd(roots[0] @ cross @ roots[1]), means

"""The paper's comparisons of representations, as functions of run folders.

Each returns a table with a row for every pair of checkpoints, layer and
repeat: the measures and, as `noise_floor`, the `mean` that permuted rows show.
Keyword arguments go to `comparison.compare`.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import itertools

import numpy as np
import pandas as pd

from transfusion_tf import comparison
from transfusion_tf.analysis import filters
from transfusion_tf.analysis import results
from transfusion_tf.analysis import similarity

_KEYS = ['layer', 'repeat']


def before_and_after(run_dirs: Sequence[str], **kwargs) -> pd.DataFrame:
  """Figure 3: each run's network before training against itself after."""
  return table(comparison.compare([_own(run) for run in run_dirs], **kwargs))


def pretrained_and_random(
  pretrained: Sequence[str], random: Sequence[str], **kwargs
) -> pd.DataFrame:
  """Figure 2: is a pretrained network more unlike than another seed is?

  Args:
    pretrained: Runs that started from pretrained weights.
    random: Runs from random weights, at least two.
    **kwargs: `top` is 2, "the top two layers" below the output.

  Returns:
    The table, with `kind` of `pretrained_random` or `random_random`.
  """
  kinds = {
    'pretrained_random': list(itertools.product(pretrained, random)),
    'random_random': list(itertools.combinations(random, 2)),
  }
  return _labelled('kind', kinds, **{'top': 2} | kwargs)


def seeds(groups: Mapping[str, Sequence[str]], **kwargs) -> pd.DataFrame:
  """Table 5: all pairs of runs within each group, e.g. pretrained, random.

  Returns:
    The table, with `group`.
  """
  pairs = {
    name: list(itertools.combinations(runs, 2)) for name, runs in groups.items()
  }
  return _labelled('group', pairs, **kwargs)


def start_and_end(
  pairs: Sequence[similarity.Pair], **kwargs
) -> tuple[pd.DataFrame, pd.Series]:
  """Figure 4: does similarity at the start predict similarity at the end?

  Args:
    pairs: Of run folders.
    **kwargs: To `comparison.compare`.

  Returns:
    A row for each dot (a pair, layer and sample) with `start` and `end`, and
    the R² of the dots of each layer.
  """
  starts = [(f'{a}@init', f'{b}@init') for a, b in pairs]
  result = comparison.compare([*starts, *pairs], **kwargs)
  found = {
    name: table({pair: result[s] for pair, s in zip(pairs, of, strict=True)})
    for name, of in (('start', starts), ('end', pairs))
  }
  keys = ['a', 'b', *_KEYS]
  dots = pd.concat(
    {name: t.set_index(keys)['mean'] for name, t in found.items()}, axis=1
  ).reset_index()
  r2 = dots.groupby('layer', sort=False)[['start', 'end']].apply(
    lambda layer: layer['start'].corr(layer['end']) ** 2
  )
  return dots, r2


def conv1_grids(run_dir: str, zoom: int = 4, **changes) -> list[np.ndarray]:
  """Figures 5, 9, 10: a run's first filters before and after training.

  Args:
    run_dir: The run.
    zoom: Pixels along the side of a weight.
    **changes: To the run's `config.Runtime`.

  Returns:
    Two images uint8 [H, W, 3].
  """
  return [
    filters.grid(
      filters.conv1(comparison.load(name, **changes).model), zoom=zoom
    )
    for name in _own(run_dir)
  ]


def table(
  result: Mapping[similarity.Pair, Mapping[str, results.Similarity]],
) -> pd.DataFrame:
  """A row for each pair `a`, `b`, layer and repeat."""
  return pd.DataFrame(_rows(result))


def _rows(result) -> Iterable[dict]:
  for (a, b), layers in result.items():
    for layer, found in layers.items():
      floor = results.average(found.noise_floor)['mean']
      for repeat, measured in enumerate(found.repeats):
        yield {
          'a': a,
          'b': b,
          'layer': layer,
          'repeat': repeat,
          **measured.scalars(),
          'noise_floor': floor,
        }


def _labelled(label, pairs, **kwargs):
  """One table of named lists of pairs, compared in one pass."""
  everything = [pair for of_name in pairs.values() for pair in of_name]
  result = comparison.compare(everything, **kwargs)
  return pd.concat(
    [
      table({pair: result[pair] for pair in of_name}).assign(**{label: name})
      for name, of_name in pairs.items()
    ],
    ignore_index=True,
  )


def _own(run_dir):
  return f'{run_dir}@init', run_dir

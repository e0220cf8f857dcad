"""Laws of the groups of networks that share a covariance."""

import itertools

import pytest

from transfusion_tf.analysis import pair_groups

_NAMES = [f'net{i}' for i in range(12)]
_SEEDS = [
  *itertools.combinations(_NAMES[:6], 2),
  *zip(_NAMES[:6], _NAMES[6:], strict=True),
]


def _blocks(groups):
  """Return the blocks of all covariances, of pairs by themselves 4."""
  return sum(len(group.networks) ** 2 for group in groups)


@pytest.mark.parametrize(
  'pairs, blocks',
  [
    ([], 0),
    ([('net3', 'net1')], 4),
    ([('net3', 'net3')], 1),
    ([('net0', 'net1'), ('net1', 'net0')], 4),
    (list(itertools.combinations(_NAMES, 2)), 144),  # All: one covariance.
    ([(_NAMES[0], name) for name in _NAMES[1:]], 44),  # A star: pairs.
    (list(itertools.pairwise(_NAMES)), 44),  # A chain: pairs.
    (_SEEDS, 36 + 24),  # Every two of six, and six with one of their own.
  ],
)
def test_arithmetic_follows_the_pairs(pairs, blocks):
  groups = pair_groups.make_groups(_NAMES, pairs)
  held = [pair for group in groups for pair in group.pairs]
  assert sorted(held) == sorted(pairs)
  for group in groups:
    assert {name for pair in group.pairs for name in pair} == {*group.networks}
    assert list(group.networks) == sorted(group.networks, key=_NAMES.index)
  assert _blocks(groups) == blocks

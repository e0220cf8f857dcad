"""Networks that are compared with each other, gathered into groups.

One covariance of all networks holds the blocks of every pair, asked for or
not. A group has one covariance; pairs that few others link are groups of two,
so that arithmetic and memory follow the pairs.
"""

from collections.abc import Iterable, Sequence
import dataclasses

Pair = tuple[str, str]


@dataclasses.dataclass(frozen=True)
class Group:
  """Networks with one covariance, and the pairs that are read from it.

  Attributes:
    networks: The networks, in the order of the source.
    pairs: Some of the pairs among them.
  """

  networks: tuple[str, ...]
  pairs: tuple[Pair, ...]


def make_groups(networks: Sequence[str], pairs: Iterable[Pair]) -> list[Group]:
  """Return groups that hold each pair once.

  A group begins with a pair and takes in networks while that is less work:
  the covariance of k + 1 networks has 2 k + 1 blocks more than that of k, and
  a pair by itself has 4.
  """
  open_pairs = dict.fromkeys(pairs)
  groups = []
  while open_pairs:
    members = set(next(iter(open_pairs)))
    for network in networks:
      linked = {pair for pair in open_pairs if network in pair}
      links = {frozenset(p) for p in linked if set(p) <= members | {network}}
      if network not in members and 2 * len(members) + 1 < 4 * len(links):
        members.add(network)
    inside = tuple(pair for pair in open_pairs if set(pair) <= members)
    groups.append(Group(tuple(n for n in networks if n in members), inside))
    for pair in inside:
      del open_pairs[pair]
  return groups

"""Which machine of a cluster has room for what: longest jobs first."""

from collections.abc import Iterable, Mapping, Sequence
import dataclasses

from transfusion_tf.study import run_needs

# Sums of fractions: of a GPU, a part this small is a matter of rounding.
_ROUNDING = 1e-6


@dataclasses.dataclass
class Node:
  """A machine of the cluster.

  Attributes:
    name: Its number in the cluster.
    host: Its address.
    amounts: What it has, by the cluster's names: `CPU`, `GPU`, ...
    used: What jobs take of it.
    jobs: How many these are.
    not_before: When it takes jobs again, in seconds of `time.monotonic`.
  """

  name: str
  host: str
  amounts: Mapping[str, float]
  used: dict[str, float] = dataclasses.field(default_factory=dict)
  jobs: int = 0
  not_before: float = 0.0

  def holds(self, amounts: Mapping[str, float]) -> bool:
    """Return whether it would be enough for a job if it were free."""
    return all(
      amount <= self.amounts.get(name, 0.0) + _ROUNDING
      for name, amount in amounts.items()
    )

  def has_room(self, amounts: Mapping[str, float]) -> bool:
    """Return whether what is free is enough for a job."""
    return all(
      self.used.get(name, 0.0) + amount
      <= self.amounts.get(name, 0.0) + _ROUNDING
      for name, amount in amounts.items()
    )

  def take(self, amounts: Mapping[str, float]) -> None:
    """Note that a job begins."""
    for name, amount in amounts.items():
      self.used[name] = self.used.get(name, 0.0) + amount
    self.jobs += 1

  def give_back(self, amounts: Mapping[str, float]) -> None:
    """Note that a job has ended."""
    for name, amount in amounts.items():
      self.used[name] -= amount
    self.jobs -= 1


def whole(nodes: Iterable[Node]) -> dict[str, float]:
  """Return the cores and GPUs that each of some machines has."""
  counts = [(n.amounts.get('CPU', 0), n.amounts.get('GPU', 0)) for n in nodes]
  cpus, gpus = (min(each) for each in zip(*counts, strict=True))
  return {k: v for k, v in (('CPU', cpus), ('GPU', gpus)) if v}


def place(
  needs: Sequence[run_needs.Needs], nodes: Sequence[Node]
) -> tuple[int, list[Node]] | None:
  """Return the first job that has room, and on which machines.

  The first for which there is none, though machines would hold it, keeps the
  least used of these for itself: smaller ones would pass it by for ever.

  Args:
    needs: What each waiting job takes, in the order in which they are to begin.
    nodes: The machines.

  Returns:
    Its number in `needs`, and its machines; None if nothing can begin.
  """
  kept: list[Node] = []
  tried: list[run_needs.Needs] = []
  for number, each in enumerate(needs):
    if each in tried:  # Of many alike, the first tells.
      continue
    tried.append(each)
    free = [node for node in nodes if node not in kept]
    if found := _find(each, free):
      return number, found
    if not kept:
      kept = _least_used(each, nodes)
  return None


def _find(needs, nodes):
  if needs.nodes:
    empty = [n for n in nodes if not n.jobs and n.holds(needs.amounts)]
    return empty[: needs.nodes] if len(empty) >= needs.nodes else []
  able = [node for node in nodes if node.has_room(needs.amounts)]
  return [min(able, key=lambda node: node.jobs)] if able else []


def _least_used(needs, nodes):
  able = [node for node in nodes if node.holds(needs.amounts)]
  count = max(needs.nodes, 1)
  able.sort(key=lambda node: node.jobs)
  return able[:count] if len(able) >= count else []


def capacity(
  needs: run_needs.Needs, machines: Iterable[Mapping[str, float]]
) -> int:
  """Return how many jobs of some needs machines hold at a time.

  Args:
    needs: What each takes.
    machines: What each machine has.
  """
  return sum(
    int(
      min(
        machine.get(name, 0.0) / amount + _ROUNDING
        for name, amount in needs.amounts.items()
      )
    )
    for machine in machines
  )

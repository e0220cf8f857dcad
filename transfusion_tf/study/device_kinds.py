"""The kinds of devices that the runs of a study were made on.

They round differently: what is compared is best made on one kind.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from transfusion_tf.models import registry
from transfusion_tf.study import display
from transfusion_tf.study import results


def kind(run: results.Result) -> str:
  """Return the kind of a run's devices; empty if an earlier version made it."""
  return ' and '.join(run.result.get('devices', {}))


def differing(
  runs: Mapping[str, Mapping[str, Sequence[results.Result]]],
) -> Iterator[str]:
  """Yield a sentence for each model whose starts ran on several kinds.

  Args:
    runs: Model -> start -> its runs.
  """
  for model, starts in runs.items():
    of_kind: dict[str, list[str]] = {}
    for start, seeds in starts.items():
      for name in dict.fromkeys(kind(run) for run in seeds if kind(run)):
        of_kind.setdefault(name, []).append(display.start(start).label)
    if len(of_kind) > 1:
      text = '; '.join(f'{k}: {", ".join(v)}' for k, v in of_kind.items())
      yield (
        f'The starts of {registry.label(model)} ran on different kinds of '
        f'devices ({text}), whose rounding is a part of their differences.'
      )


def used(runs: Iterable[results.Result]) -> str:
  """Return `Run on KIND, KIND.`, or '' if it is not known."""
  kinds = sorted({kind(run) for run in runs} - {''})
  return f'Run on {", ".join(kinds)}.' if kinds else ''

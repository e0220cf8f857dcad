"""What an output of a network may be called.

A name is a line of a label file, a column of a table of scores and a key of
results: not every text can be all of these.
"""

from collections.abc import Iterable, Sequence
import unicodedata

from transfusion_tf import errors

FINDINGS = 'findings'
# Columns that every table of scores has.
_COLUMNS = ('image_id', 'patient_id')
# Keys beside which the scores of findings are kept.
_RESULTS = (
  *('mean', 'step', 'loss', 'average_precision'),
  *('brier', 'brier_skill', 'ece'),
)
# The column of the true class or grade, by name.
TRUE = 'true:class'
# Endings of the columns that belong to a metric.
SUFFIXES = (
  *(':label', ':score', ':value', ':baseline'),
  *(':class', ':grade', ':answer', ':group'),
)
# TFDS names a file after each finding.
_MAX_BYTES = 200
_BREAKS = ('Cc', 'Cs', 'Zl', 'Zp')  # Unicode categories.


def of_columns(columns: Iterable[str]) -> tuple[str, ...]:
  """Return the names of the outputs among the columns of a table of scores."""
  return tuple(
    name
    for name in columns
    if name not in _COLUMNS and not name.endswith(SUFFIXES)
  )


def fault(name: str, kind: str) -> str:
  """Return why `name` cannot be an output's, or ''.

  Args:
    name: A class, a grade or a finding.
    kind: `label`, `grade` or `findings`.
  """
  if not name.strip():
    return 'is empty'
  if name != name.strip():
    return 'begins or ends with a blank'
  if any(unicodedata.category(letter) in _BREAKS for letter in name):
    return 'holds a line break or another control character'
  if name in _COLUMNS or (kind == FINDINGS and name in _RESULTS):
    return 'is a word that score files and results use themselves'
  if name.endswith(SUFFIXES):
    return f'ends in {" or ".join(SUFFIXES)}, as columns of score files do'
  if kind == FINDINGS and len(name.encode()) > _MAX_BYTES:
    return f'is longer than {_MAX_BYTES} bytes'
  return ''


def twins(names: Sequence[str]) -> tuple[str, str] | None:
  """Return the first two names that a reader cannot tell apart, or None."""
  seen: dict[str, str] = {}
  for name in names:
    plain = _plain(name)
    if plain in seen:
      return seen[plain], name
    seen[plain] = name
  return None


def check(names: Sequence[str], kind: str, where: str) -> None:
  """Refuse names that cannot be outputs'.

  Args:
    names: All names of a data set, each once.
    kind: `label`, `grade` or `findings`.
    where: Their location, for the message.

  Raises:
    InputError: One has a `fault`, or two are `twins`.
  """
  for name in names:
    if wrong := fault(name, kind):
      raise errors.InputError(f'{where}: {name!r} {wrong}; rename it')
  if pair := twins(names):
    raise errors.InputError(
      f'{where}: {pair[0]!a} and {pair[1]!a} look the same; give them one '
      'spelling, or two names'
    )


def _plain(name):
  """Return the name without what is not seen: forms, blanks, joiners."""
  text = unicodedata.normalize('NFKC', name)
  text = ''.join(x for x in text if unicodedata.category(x) != 'Cf')
  return ' '.join(text.split())

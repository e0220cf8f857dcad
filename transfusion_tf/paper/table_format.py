"""Cells of a table, and the table as text, CSV, LaTeX and HTML."""

from collections.abc import Callable, Sequence
import dataclasses

import numpy as np
import pandas as pd

from transfusion_tf.paper import published_values
from transfusion_tf.paper import study as study_lib
from transfusion_tf.study import results
from transfusion_tf.study import statistics


@dataclasses.dataclass(frozen=True)
class Score:
  """Mean and spread over seeds beside the paper's.

  Attributes:
    ours: None if there is nothing.
    paper: The paper's, in the unit shown.
    unit: Factor from ours to the unit shown, e.g. 100 for percent.
    digits: After the point.
    missing: Why something is missing.
  """

  ours: statistics.Summary | None
  paper: published_values.Value | None = None
  unit: float = 1
  digits: int = 1
  missing: str = ''

  @classmethod
  def made(
    cls,
    make: Callable[[], statistics.Summary],
    paper: published_values.Value | None = None,
    unit: float = 1,
    digits: int = 1,
    gaps: Sequence[str] = (),
  ) -> 'Score':
    """Return a cell of what `make` returns; a `Gap` becomes the reason."""
    try:
      ours, missing = make(), '; '.join(dict.fromkeys(gaps))
    except (study_lib.Gap, *results.UNREADABLE) as gap:
      ours, missing = None, str(gap)
    return cls(ours, paper, unit, digits, missing)

  def text(self) -> str:
    if self.ours is None:
      return f'missing ({self.missing})'
    shown = f'{self.ours.mean * self.unit:,.{self.digits}f}'
    if np.isfinite(self.ours.deviation):
      spread = self.ours.deviation * self.unit
      shown += f' ± {spread:.{self.digits + 1}f}'
    if self.ours.count:
      shown += f' ({self.ours.count})'
    return shown + (f'; rest missing ({self.missing})' if self.missing else '')

  def numbers(self) -> dict[str, float | str]:
    """For CSV: in the unit shown."""
    ours = self.ours or statistics.Summary(np.nan, np.nan, 0)
    return {
      'mean': ours.mean * self.unit,
      'sd': ours.deviation * self.unit,
      'seeds': ours.count,
    }


@dataclasses.dataclass(frozen=True)
class Difference:
  """A difference with its 95 % interval beside the paper's."""

  ours: statistics.Estimate | None
  paper: published_values.Value | None = None
  unit: float = 1
  digits: int = 1
  missing: str = ''

  made = classmethod(Score.made.__func__)

  def text(self) -> str:
    if self.ours is None:
      return f'missing ({self.missing})'
    shown = self.ours.scaled(self.unit)
    text = f'{shown.value:+.{self.digits}f}'
    if not shown.known:
      return text
    return (
      f'{text} [{shown.low:+.{self.digits}f}, {shown.high:+.{self.digits}f}]'
    )

  def numbers(self) -> dict[str, float | str]:
    ours = self.ours or statistics.Estimate(np.nan, np.nan, np.nan)
    shown = ours.scaled(self.unit)
    return {'mean': shown.value, 'low': shown.low, 'high': shown.high}


@dataclasses.dataclass(frozen=True)
class Table:
  """A table of texts, scores and differences.

  Attributes:
    name: `table1` ... `table5`.
    title: What it is of.
    rows: Column -> text or cell.
    about: What its numbers are.
  """

  name: str
  title: str
  rows: Sequence[dict[str, str | Score | Difference]]
  about: str = (
    'AUCs in percent: mean ± standard deviation over seeds (number of seeds). '
    'Differences with their 95 % interval, over patients and seeds; with one '
    'seed each, over patients alone.'
  )

  def frame(self) -> pd.DataFrame:
    """Texts; the paper's values have a column of their own beside ours."""
    return pd.DataFrame([self._texts(row) for row in self.rows])

  def _texts(self, row):
    texts = {}
    for column, cell in row.items():
      texts[column] = cell if isinstance(cell, str) else cell.text()
      if column in self._with_paper():
        paper = getattr(cell, 'paper', None)
        texts[f'{column}, paper'] = paper.text if paper else '–'
    return texts

  def _with_paper(self):
    return {
      column
      for row in self.rows
      for column, cell in row.items()
      if getattr(cell, 'paper', None)
    }

  def numbers(self) -> pd.DataFrame:
    """One row a cell: what it is of, ours, the paper's, what is missing."""
    return pd.DataFrame(
      [
        {k: v for k, v in row.items() if isinstance(v, str) and v != '–'}
        | {'column': column, **cell.numbers()}
        | {
          'paper': cell.paper.value if cell.paper else np.nan,
          'paper_sd': cell.paper.deviation if cell.paper else np.nan,
          'missing': cell.missing,
        }
        for row in self.rows
        for column, cell in row.items()
        if not isinstance(cell, str)
      ]
    )

  def latex(self) -> str:
    """Return a `tabular` for booktabs."""
    frame = self.frame()
    style = frame.map(_escape).rename(columns=_escape).style.hide(axis='index')
    return style.to_latex(hrules=True, column_format='l' * len(frame.columns))


_LATEX = {'±': r'$\pm$', '−': '$-$', '–': '--'}
_LATEX |= {character: f'\\{character}' for character in '%_&#{}$'}


def _escape(text):
  return ''.join(_LATEX.get(character, character) for character in str(text))

"""The cells of a table, and the table as text, CSV and LaTeX."""

from collections.abc import Callable, Sequence
import dataclasses
from typing import Any, Self

import numpy as np
import pandas as pd

from transfusion_tf.paper import published_values
from transfusion_tf.study import results
from transfusion_tf.study import statistics


@dataclasses.dataclass(frozen=True)
class Cell:
  """A result beside the paper's.

  Attributes:
    ours: Our result; None if it is missing.
    paper: The paper's, in the unit shown.
    unit: Factor from ours to the unit shown, e.g. 100 for percent.
    digits: Digits after the point.
    missing: Why something is missing.
  """

  ours: Any
  paper: published_values.Value | None = None
  unit: float = 1
  digits: int = 1
  missing: str = ''

  @classmethod
  def make(
    cls,
    compute: Callable[[], Any],
    paper: published_values.Value | None = None,
    unit: float = 1,
    digits: int = 1,
    missing: Sequence[str] = (),
  ) -> Self:
    """Return a cell of a computed result, or with the reason why it is missing.

    Args:
      compute: Returns the result.
      paper: As the attribute.
      unit: As the attribute.
      digits: As the attribute.
      missing: Why parts of the result are missing.
    """
    try:
      reasons = '; '.join(dict.fromkeys(missing))
      return cls(compute(), paper, unit, digits, reasons)
    except results.UNAVAILABLE as error:
      return cls(None, paper, unit, digits, str(error))


class Score(Cell):
  """Mean and standard deviation over seeds, a `statistics.Summary`."""

  def text(self) -> str:
    """Return the cell as text."""
    if self.ours is None:
      return f'missing ({self.missing})'
    text = f'{self.ours.mean * self.unit:,.{self.digits}f}'
    if np.isfinite(self.ours.std):
      text += f' ± {self.ours.std * self.unit:.{self.digits + 1}f}'
    if self.ours.count:
      text += f' ({self.ours.count})'
    return text + (f'; rest missing ({self.missing})' if self.missing else '')

  def numbers(self) -> dict[str, float]:
    """Return columns of a CSV, in the unit shown."""
    ours = self.ours or statistics.Summary(np.nan, np.nan, 0)
    return {
      'mean': ours.mean * self.unit,
      'sd': ours.std * self.unit,
      'seeds': ours.count,
    }


class Difference(Cell):
  """A difference with its 95 % interval, a `statistics.Estimate`."""

  def text(self) -> str:
    """Return the cell as text."""
    if self.ours is None:
      return f'missing ({self.missing})'
    shown = self.ours.scaled(self.unit)
    value, low, high = (
      f'{number:+.{self.digits}f}'
      for number in (shown.value, shown.low, shown.high)
    )
    return f'{value} [{low}, {high}]' if shown.known else value

  def numbers(self) -> dict[str, float]:
    """Return columns of a CSV, in the unit shown."""
    ours = self.ours or statistics.Estimate(np.nan)
    shown = ours.scaled(self.unit)
    return {'mean': shown.value, 'low': shown.low, 'high': shown.high}


Row = dict[str, str | Score | Difference]
ABOUT_AUCS = (
  'AUCs in percent: mean ± standard deviation over seeds (number of seeds). '
  'Differences with their 95 % interval, over patients and seeds; with one '
  'seed each, over patients alone.'
)


@dataclasses.dataclass(frozen=True)
class Table:
  """A table of texts, scores and differences.

  Attributes:
    name: `table1` ... `table5`.
    title: Title.
    rows: Column -> text or cell.
    about: Explanation of the numbers.
  """

  name: str
  title: str
  rows: Sequence[Row]
  about: str = ABOUT_AUCS

  def frame(self) -> pd.DataFrame:
    """Return texts; the paper's values are in columns beside ours."""
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
    """Return a row per cell: its labels, ours, the paper's, what is missing."""
    return pd.DataFrame(
      [
        {k: v for k, v in row.items() if isinstance(v, str) and v != '–'}
        | {'column': column, **cell.numbers()}
        | {
          'paper': cell.paper.value if cell.paper else np.nan,
          'paper_sd': cell.paper.std if cell.paper else np.nan,
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

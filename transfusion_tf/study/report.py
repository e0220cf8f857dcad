"""report.html: one self-contained page, figures inside."""

import base64
from collections.abc import Sequence
import dataclasses
import io
import os
import pathlib

from matplotlib import figure as figure_lib
import pandas as pd

from transfusion_tf import shown_text
from transfusion_tf import storage
from transfusion_tf import templates

_TEMPLATE = pathlib.Path(__file__).parent / 'templates' / 'report.html'
_DOTS_PER_INCH = 110
# A cell of more characters is a text to be read, and lines of it may break.
_LONGEST_VALUE = 40


@dataclasses.dataclass(frozen=True)
class Section:
  """A heading, paragraphs, and at most one table and one figure.

  Attributes:
    title: The heading; its words also make the section's anchor.
    paragraphs: Plain text.
    table: Texts, ready to print.
    figure: A figure.
    caption: Caption of the figure.
    part: A heading above this section and those after it; empty for none.
    cards: Whether a narrow screen shows each row of the table as a card.
  """

  title: str
  paragraphs: Sequence[str] = ()
  table: pd.DataFrame | None = None
  figure: figure_lib.Figure | None = None
  caption: str = ''
  part: str = ''
  cards: bool = False


def write(
  path: str, title: str, sections: Sequence[Section], private: bool = False
) -> None:
  """Write the page, for its owner alone if it shows pictures of patients."""
  page = templates.render(
    _TEMPLATE,
    filters={
      'anchor': lambda title: '-'.join(title.lower().split()),
      'rows': lambda table: table.fillna('–').to_dict('records'),
      'has_texts': _has_texts,
      'png': _png,
    },
    title=title,
    sections=sections,
  )
  with storage.atomic_write(path) as file:
    if private:
      os.fchmod(file.fileno(), storage.PRIVATE)
    file.write(page)


def _has_texts(table):
  lengths = table.astype(str).map(len)
  return bool((lengths > _LONGEST_VALUE).any(axis=None))


def _png(fig):
  """Return a figure as PNG in base64."""
  buffer = io.BytesIO()
  with shown_text.without_formulas(fig):
    fig.savefig(buffer, format='png', dpi=_DOTS_PER_INCH)
  return base64.b64encode(buffer.getvalue()).decode()

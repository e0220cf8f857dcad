"""Texts that others chose, e.g. names of classes and files, as they are shown.

A terminal, Markdown and Matplotlib each take some letters for orders.
"""

from collections.abc import Iterator
import contextlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
  from matplotlib import figure as figure_lib

_ENTITIES = {'&': '&amp;', '<': '&lt;', '>': '&gt;'}
# Of Markdown: what ends a cell of a table, and what makes a link.
_ORDERS = re.compile(r'[|\[\]]')


def printable(text: str) -> str:
  """Return a text that any terminal and file can take.

  A file's name may hold bytes that are no text, or control characters.
  """
  if text.isprintable():
    return text
  text = text.encode('utf-8', 'backslashreplace').decode()
  return ''.join(x if x.isprintable() else repr(x)[1:-1] for x in text)


def markdown(text: str) -> str:
  """Return a text that Markdown shows, also in a cell of a table."""
  text = ''.join(_ENTITIES.get(x, x) for x in ' '.join(text.split()))
  return _ORDERS.sub(r'\\\g<0>', text)


@contextlib.contextmanager
def without_formulas(figure: 'figure_lib.Figure') -> Iterator[None]:
  """While a figure is drawn, show `$` as it is; a name is no formula."""
  import matplotlib as mpl
  from matplotlib import text as text_lib

  for text in figure.findobj(text_lib.Text):
    text.set_parse_math(False)
  # Of what is made only when it is drawn.
  with mpl.rc_context({'text.parse_math': False}):
    yield

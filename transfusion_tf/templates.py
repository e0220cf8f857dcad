"""Pages and cards: Jinja templates, filled in."""

from collections.abc import Callable, Iterable, Mapping
import pathlib
from typing import Any

import jinja2
import markupsafe

from transfusion_tf import shown_text


def render(
  path: pathlib.Path,
  filters: Mapping[str, Callable] | None = None,
  **context: Any,
) -> str:
  """Return a template with the values of `context`.

  Inserted text is escaped for HTML or Markdown, as the template's name ends; a
  template in Markdown has the filter `cells`, the cells of a row of a table.

  Args:
    path: The template.
    filters: Name -> function that the template applies by `value | name`.
    **context: The values.

  Raises:
    jinja2.UndefinedError: The template uses a value that is not given.
  """
  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(path.parent),
    autoescape=jinja2.select_autoescape(),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
  )
  if path.suffix == '.md':
    environment.finalize = _markdown
    environment.filters['cells'] = _cells
  environment.filters |= filters or {}
  return environment.get_template(path.name).render(context)


def _markdown(value):
  if isinstance(value, str) and not isinstance(value, markupsafe.Markup):
    return shown_text.markdown(value)
  return value


def _cells(row: Iterable[Any]) -> markupsafe.Markup:
  return markupsafe.Markup(' | '.join(str(_markdown(cell)) for cell in row))

"""Pages and cards: Jinja templates, filled in."""

from collections.abc import Callable, Mapping
import pathlib
from typing import Any

import jinja2


def render(
  path: pathlib.Path,
  filters: Mapping[str, Callable] | None = None,
  **context: Any,
) -> str:
  """Return a template with the values of `context`.

  Inserted text is escaped if the template's name ends in .html.

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
  environment.filters |= filters or {}
  return environment.get_template(path.name).render(context)

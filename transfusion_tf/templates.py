"""Pages and cards: Jinja templates, filled in."""

import pathlib
from typing import Any

import jinja2


def render(path: pathlib.Path, **context: Any) -> str:
  """Return a template with the values of `context`.

  What it inserts is escaped if the template's name ends in .html.

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
  return environment.get_template(path.name).render(context)

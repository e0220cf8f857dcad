"""The page of a preflight: self-contained HTML with pictures."""

import base64
import collections
from collections.abc import Callable
import io
import pathlib

import jinja2
import pandas as pd
from PIL import Image

from data import images
from data import listing
from data import splits

Picture = Callable[[bytes], Image.Image]

_TEMPLATE = pathlib.Path(__file__).with_name('preflight.html.jinja')
_EACH = 6  # Pictures of a class, and problems of a kind.
_SIDE = 128  # Pixels.
_MAX_CLASSES = 50


def render(
  name: str, table: pd.DataFrame, found: listing.Listing, picture: Picture
) -> str:
  """The page of a data set, with some pictures as they would be stored.

  Args:
    name: Of the data set.
    table: Its numbers.
    found: Its records and problems.
    picture: What makes a file's bytes the picture to store.
  """
  by_id = {record.image_id: record for record in found.records}
  problems = collections.defaultdict(list)
  for problem in found.problems:
    problems[problem.kind].append(problem)
  # Of the images that are kept in spite of a note there is a picture to show.
  noted = {
    kind: [by_id[p.where] for p in group[:_EACH] if p.where in by_id]
    for kind, group in problems.items()
  }
  template = jinja2.Template(
    _TEMPLATE.read_text(), autoescape=True, trim_blocks=True
  )
  return template.render(
    name=name,
    table=table.to_html(border=0),
    problems=problems,
    noted={kind: _shown(group, picture) for kind, group in noted.items()},
    classes={
      name: _shown(group, picture)
      for name, group in _examples(found.records).items()
    },
    each=_EACH,
  )


def _examples(records):
  """{class: some training records of it}, the same ones every time."""
  classes = collections.defaultdict(list)
  order = sorted(records, key=lambda r: splits.draw(r.image_id, 0, 'sample'))
  for record in order:
    for name in record.classes():
      if record.split == 'train' and len(classes[name]) < _EACH:
        classes[name].append(record)
  return {name: classes[name] for name in sorted(classes)[:_MAX_CLASSES]}


def _shown(records, picture):
  """[(image id, data URI)]"""
  return [
    (record.image_id, _data_uri(picture(images.read(record.path))))
    for record in records
  ]


def _data_uri(image):
  image.thumbnail((_SIDE, _SIDE))
  buffer = io.BytesIO()
  image.convert('RGB').save(buffer, 'JPEG', quality=85)
  code = base64.b64encode(buffer.getvalue()).decode()
  return f'data:image/jpeg;base64,{code}'

"""The page of a preflight: self-contained HTML with pictures."""

import base64
import collections
from collections.abc import Callable, Mapping
import functools
import io
import pathlib

import pandas as pd
from PIL import Image

from data import images
from data import parallel
from data import places
from data import raw_dataset
from data import splits
from transfusion_tf import templates

Picture = Callable[[places.Raw], Image.Image]

_TEMPLATE = pathlib.Path(__file__).with_name('preflight.html')
_EACH = 6  # Pictures of a class, and problems of a kind.
_SIDE = 128  # Pixels.
_MAX_CLASSES = 50


def pictures(
  dataset: raw_dataset.RawDataset, picture: Picture, num_processes: int = 0
) -> dict[str, str]:
  """Return {image id: data URI} of the images on the page of `dataset`.

  Args:
    dataset: Checked records.
    picture: A picklable function from a raw picture to the stored one.
    num_processes: 0 is one a core.
  """
  shown = [*_by_class(dataset).values(), *_by_note(dataset).values()]
  records = list({r.image_id: r for group in shown for r in group}.values())
  uris = parallel.ordered_map(
    functools.partial(_data_uri, picture=picture), records, num_processes
  )
  return {r.image_id: uri for r, uri in zip(records, uris, strict=True)}


def render(
  name: str,
  table: pd.DataFrame,
  dataset: raw_dataset.RawDataset,
  shown: Mapping[str, str],
) -> str:
  """Return the page of a data set.

  Args:
    name: Name of the data set.
    table: The numbers of the data set.
    dataset: The records and problems of the data set.
    shown: The result of `pictures`.
  """

  def figures(groups):
    return {
      title: [(r.image_id, shown[r.image_id]) for r in records]
      for title, records in groups.items()
    }

  return templates.render(
    _TEMPLATE,
    name=name,
    table=table.to_html(border=0),
    problems=_by_kind(dataset),
    noted=figures(_by_note(dataset)),
    classes=figures(_by_class(dataset)),
    each=_EACH,
  )


def _by_kind(dataset):
  groups = collections.defaultdict(list)
  for problem in dataset.problems:
    groups[problem.kind].append(problem)
  return groups


def _by_note(dataset):
  """Return {kind of note: some records that are kept in spite of it}."""
  by_id = {record.image_id: record for record in dataset.records}
  return {
    kind: [
      by_id[image_id]
      for problem in group[:_EACH]
      for image_id in (problem.location, problem.other)
      if image_id in by_id
    ]
    for kind, group in _by_kind(dataset).items()
  }


def _by_class(dataset):
  """Return {class: some records of it}, always the same ones.

  They are training records, but for a set that is only tested on.
  """
  classes = collections.defaultdict(list)
  train = [record for record in dataset.records if record.split == 'train']
  for record in sorted(
    train or dataset.records,
    key=lambda r: splits.draw(r.image_id, 0, 'sample'),
  ):
    for name in record.classes():
      if len(classes[name]) < _EACH:
        classes[name].append(record)
  return {name: classes[name] for name in sorted(classes)[:_MAX_CLASSES]}


def _data_uri(record, picture):
  image = picture(images.read(record.path))
  image.thumbnail((_SIDE, _SIDE))
  buffer = io.BytesIO()
  image.convert('RGB').save(buffer, 'JPEG', quality=85)
  code = base64.b64encode(buffer.getvalue()).decode()
  return f'data:image/jpeg;base64,{code}'

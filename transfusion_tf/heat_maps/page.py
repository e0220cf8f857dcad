"""Pictures and their heat maps as one page, which loads nothing."""

import base64
import io
import math
import os
import pathlib

import matplotlib
import numpy as np
from PIL import Image

from transfusion_tf import storage
from transfusion_tf import tasks
from transfusion_tf import templates
from transfusion_tf.heat_maps import compare
from transfusion_tf.heat_maps import making

_TEMPLATE = pathlib.Path(__file__).parent / 'templates' / 'heat_maps.html'
_LEAST_SIDE = 160  # Of a picture on the page.
_HEAT = 0.6  # Weight of a map over its picture.
# Single pixels are far larger than what the eye is to follow.
_BRIGHTEST = 99.5
_LARGEST_PROBABILITIES = 5


def write(
  path: str,
  title: str,
  task: tasks.Task,
  result: making.Result,
  left_out: list[tuple[str, str]],
) -> None:
  """Write the page, for its owner alone: it shows pictures of patients.

  Args:
    path: The page.
    title: Its heading.
    task: The meaning of the outputs.
    result: The pictures and maps.
    left_out: Id of each picture without maps, and the reason.
  """
  page = templates.render(
    _TEMPLATE,
    filters={'figure': _figure},
    title=title,
    stage=result.stage,
    survivals={name: result.survival(name) for name in making.METHODS},
    bound=compare.SURVIVES,
    num_draws=sum(level.is_all for level in result.levels),
    pictures=[_picture(task, result, picture) for picture in result.pictures],
    left_out=left_out,
  )
  with storage.atomic_write(path) as file:
    os.fchmod(file.fileno(), storage.PRIVATE)
    file.write(page)


def _picture(task, result, picture):
  """Return what the template shows of a picture."""
  order = np.argsort(-picture.probabilities)[:_LARGEST_PROBABILITIES]
  trained = picture.maps[0]
  return {
    'id': picture.id,
    'image': _png(picture.image),
    'output': task.names[picture.output],
    'probabilities': [
      (task.names[k], float(picture.probabilities[k])) for k in order
    ],
    'missed': trained.missed,
    'sum': float(trained.gradients.sum()),
    'methods': {
      name: [
        {
          'level': result.levels[number].name,
          'image': _png(_overlay(picture.image, heat(picture.maps[number]))),
          'likeness': compare.likeness(
            heat(trained), heat(picture.maps[number]), len(picture.image)
          ),
        }
        for number in result.cascade
      ]
      for name, heat in making.METHODS.items()
    },
  }


def _overlay(image, heat):
  """Return a picture under a map: red speaks for the output, blue against."""
  heat = compare.resized(np.nan_to_num(heat), len(image))
  largest = np.percentile(np.abs(heat), _BRIGHTEST) or np.abs(heat).max() or 1.0
  scaled = np.clip(heat / largest, -1, 1)
  colors = matplotlib.colormaps['bwr'](scaled / 2 + 0.5)[..., :3]
  # Where there is no heat, the picture alone is seen, in gray.
  gray = image.mean(axis=-1, keepdims=True) / 255
  weight = _HEAT * np.abs(scaled)[..., None]
  return ((1 - weight) * gray + weight * colors) * 255


def _png(image):
  """Return pixels as PNG in base64, each of a small picture enlarged."""
  shown = Image.fromarray(np.asarray(image).astype(np.uint8))
  times = math.ceil(_LEAST_SIDE / shown.width)
  shown = shown.resize(
    (shown.width * times, shown.height * times), Image.Resampling.NEAREST
  )
  buffer = io.BytesIO()
  shown.save(buffer, 'PNG')
  return base64.b64encode(buffer.getvalue()).decode()


def _figure(value):
  return '–' if math.isnan(value) else f'{value:.2f}'.replace('-', '−')

"""Classifies files one after another; prints how much memory that took.

The arguments are a preparation's name, then files. Each line that is printed is
a status and, in bytes, the peak of the process's memory over that before the
file, and over that before the first of them.
"""

import functools
import io
import pathlib
import sys

import raw_sets
import tensorflow as tf

from transfusion_tf import config
from transfusion_tf.export import preparation
from transfusion_tf.image_ops import fundus
from transfusion_tf.image_ops import resize
from transfusion_tf.image_ops import rules
from transfusion_tf.image_ops import validate
from transfusion_tf.input_pipeline import image_reader

_SIDE = 587
_SQUARES = {
  'fundus': fundus.crop,
  'squeezed': lambda image, side: resize.lanczos(image, side, side),
}
_OTHERS = {'identity': preparation.IDENTITY, 'encoded': preparation.ENCODED}


def classifier(name):
  """Return a graph: a file -> its picture and status."""
  if name in _SQUARES:
    square = functools.partial(_SQUARES[name], side=_SIDE)
    chosen = preparation.Preparation(
      name, square, rules.min_decoded_side(_SIDE)
    )
  else:
    chosen = _OTHERS[name]
  data = config.Data(dataset='', image_size=_SIDE, eval_crop=0.9)
  reader = image_reader.ImageReader(data)
  load = validate.guarded(
    functools.partial(chosen.load, read=reader.evaluation),
    (_SIDE, _SIDE, 3),
    chosen.stored_size,
  )
  return tf.function(load, [tf.TensorSpec([], tf.string)], autograph=False)


def memory(key):
  """Return VmRSS or VmHWM of this process."""
  (line,) = (
    line
    for line in pathlib.Path('/proc/self/status').read_text().splitlines()
    if line.startswith(key)
  )
  return 1024 * int(line.split()[1])


def main(name, paths):
  classify = classifier(name)
  for kind in ('JPEG', 'PNG'):
    usual = io.BytesIO()
    raw_sets.photograph(0).save(usual, kind)
    classify(usual.getvalue())
  before = memory('VmRSS')
  for path in paths:
    file = tf.constant(pathlib.Path(path).read_bytes())
    length = tf.strings.length(file).numpy()
    pathlib.Path('/proc/self/clear_refs').write_text('5')  # Its peak is now.
    held = memory('VmRSS')
    _, status = classify(file)
    peak = memory('VmHWM')
    # The request is its sender's.
    print(status.numpy().decode(), peak - held, peak - before - length)


if __name__ == '__main__':
  main(sys.argv[1], sys.argv[2:])

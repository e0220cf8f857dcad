"""Images that cannot be used get a status each; the others are not affected."""

from collections.abc import Callable

import tensorflow as tf

from transfusion_tf.image_ops import containers
from transfusion_tf.image_ops import decode
from transfusion_tf.image_ops import rules

OK = 'ok'
EMPTY = 'empty'
NOT_JPEG_OR_PNG = 'not_jpeg_or_png'
TOO_LARGE = 'too_large'
DAMAGED = 'damaged'
# Status -> what it says.
STATUSES = {
  OK: 'The image was classified.',
  EMPTY: 'No bytes.',
  NOT_JPEG_OR_PNG: 'Bytes of another format (GIF, TIFF, DICOM, HTML, ...).',
  TOO_LARGE: (
    f'Over {rules.MAX_BYTES:,} bytes; or the header claims over '
    f'{rules.MAX_PIXELS:,} pixels, {rules.MAX_PIXELS_IN_PASSES:,} of a '
    f'progressive JPEG, or a side over {rules.MAX_SIDE:,}, or so narrow a '
    f'picture that scaling makes it longer than {rules.MAX_STORED_SIDE:,}.'
  ),
  DAMAGED: 'Truncated, or it does not decode.',
}


def guarded(
  load: Callable[['tf.Tensor'], 'tf.Tensor'],
  shape: tuple[int, ...],
  stored_size: Callable[['tf.Tensor'], 'tf.Tensor'] | None = None,
) -> Callable[['tf.Tensor'], tuple['tf.Tensor', 'tf.Tensor']]:
  """Return a form of `load` that takes any bytes.

  Args:
    load: Encoded image -> uint8 of `shape`. May fail.
    shape: Shape of the result of `load`.
    stored_size: If given, int32 [2] of a picture -> float64 [2], height and
      width of what preparing stores of it.

  Returns:
    Encoded image -> uint8 of `shape`, zeros if it could not be loaded, and one
    of STATUSES.
  """
  blank = tf.zeros(shape, tf.uint8)

  def attempt(encoded):
    status = _status(encoded, stored_size)
    return tf.cond(status == OK, lambda: load(encoded), lambda: blank), status

  def load_or_say_why(encoded):
    # A failing operation ends a graph; a data set can go on without the
    # element that failed.
    loaded = tf.data.Dataset.from_tensors(encoded).map(attempt).ignore_errors()
    otherwise = tf.data.Dataset.from_tensors((blank, DAMAGED))
    return loaded.concatenate(otherwise).take(1).get_single_element()

  return load_or_say_why


def _status(encoded, stored_size):
  """Return what the first bytes say; fails where they are no whole header."""

  def by_size():
    size = tf.cast(decode.shape(encoded), tf.int64)
    too_large = rules.is_too_large(size[0], size[1])
    too_large |= tf.cond(
      rules.is_too_large_in_passes(size[0], size[1]) & ~too_large,
      lambda: containers.scan(encoded).passes > 0,
      lambda: tf.constant(False),
    )
    if stored_size:
      longer = tf.reduce_max(stored_size(size))
      too_large |= longer > rules.MAX_STORED_SIDE
    return tf.where(too_large, TOO_LARGE, OK)

  def by_format():
    readable = decode.is_readable(encoded)
    return tf.cond(readable, by_size, lambda: tf.constant(NOT_JPEG_OR_PNG))

  def by_length():
    too_long = tf.strings.length(encoded) > rules.MAX_BYTES
    return tf.cond(too_long, lambda: tf.constant(TOO_LARGE), by_format)

  is_empty = tf.strings.length(encoded) == 0
  return tf.cond(is_empty, lambda: tf.constant(EMPTY), by_length)

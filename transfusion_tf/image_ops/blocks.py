"""Some rows of a picture after the others, where all would fill the memory."""

from collections.abc import Callable

import tensorflow as tf

from transfusion_tf.image_ops import rules


def map_rows(
  function: Callable[['tf.Tensor'], 'tf.Tensor'],
  image: 'tf.Tensor',
  row_bytes: 'tf.Tensor | int',
) -> 'tf.Tensor':
  """Return `function(image)`, computed for blocks of rows.

  Args:
    function: [h, W, C] -> uint8 [h, V, C], each row for itself.
    image: [H, W, C].
    row_bytes: Memory of a row in the making.
  """
  height = tf.shape(image)[0]
  step = tf.maximum(rules.BLOCK // tf.maximum(row_bytes, 1), 1)
  count = -(-height // step)
  results = tf.TensorArray(
    tf.uint8, count, infer_shape=False, element_shape=[None, None, None]
  )
  _, results = tf.while_loop(
    lambda n, _: n < count,
    lambda n, done: (
      n + 1,
      done.write(n, function(image[n * step : (n + 1) * step])),
    ),
    (0, results),
    parallel_iterations=1,
  )
  return results.concat()

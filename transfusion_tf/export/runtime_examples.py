"""Code of the model card: from a prepared image's file to pixels."""

import textwrap

import markupsafe

from transfusion_tf.run import build as run_lib


def read_pixels(run: run_lib.Run) -> markupsafe.Markup:
  """Return the code that reads files as `ImageReader.evaluation` does.

  It needs no TensorFlow. Decoders of JPEG differ by some gray levels.
  """
  data, side = run.source.reader.data, run.source.reader.evaluation_side
  sides = '2 * [min(image.size)]' if data.eval_square else 'image.size'
  code = f"""
    import numpy as np
    from PIL import Image

    def read(path):
      image = Image.open(path).convert('RGB')
      width, height = (round(n * {data.eval_crop:g}) for n in {sides})
      left, top = (image.width - width) // 2, (image.height - height) // 2
      window = image.crop((left, top, left + width, top + height))
      window = window.resize(({side}, {side}), Image.Resampling.BILINEAR)
      return np.asarray(window, np.float32)

    pixels = np.stack([read(path) for path in ('one.jpeg', 'two.jpeg')])
  """
  return markupsafe.Markup(textwrap.dedent(code).strip())

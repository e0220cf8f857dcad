r"""Shows where a network looks: a page of pictures and their heat maps.

  python bin/heat_maps.py --run_dir=RUN@best --images=FOLDER --output=PAGE.html
  python bin/heat_maps.py --run_dir=RUN@best --table=PREDICTED.csv \
    --path_column=id --images=FOLDER --output=PAGE.html

Pictures are named as for predict.py, whose table, or some of its rows, is one
of pictures. Beside each map are those of the same network with weights drawn
anew, stage by stage from the head down: a map that survives shows nothing of
what was learnt. The page shows pictures of patients, and only its owner may
read it.
"""

import collections
import itertools
import os
import sys

from absl import flags

from transfusion_tf import startup
from transfusion_tf.cli import app
from transfusion_tf.cli import checkpoint_flags
from transfusion_tf.cli import picture_flags

checkpoint_flags.define(__name__, checkpoint='best')
picture_flags.define(__name__)
_OUTPUT = flags.DEFINE_string(
  'output', None, 'The page to write, .html.', required=True
)
_NUM_PICTURES = flags.DEFINE_integer(
  'num_pictures', 8, 'Pictures to show: the first of the list.', 1, 1000
)
_EXPLAIN = flags.DEFINE_string(
  'explain', '', 'Output that maps are of (default: the most probable one).'
)
_DRAWS = flags.DEFINE_integer(
  'draws', 3, 'Draws of random weights, of the randomization test.', 1, 100
)
_STEPS = flags.DEFINE_integer(
  'steps', 64, 'Of integrated gradients.', 1, 100_000
)


def _check_flags():
  from transfusion_tf import errors
  from transfusion_tf import storage

  picture_flags.check()
  folder = os.path.dirname(_OUTPUT.value) or '.'
  if not _OUTPUT.value.endswith('.html'):
    raise errors.InputError(f'--output={_OUTPUT.value} does not end in .html')
  if storage.is_remote(_OUTPUT.value) or not os.path.isdir(folder):
    raise errors.InputError(
      f'{folder}: no such folder of this machine to write --output to'
    )


def _output(task):
  """Return the number of the output to explain, or None."""
  from transfusion_tf import errors

  if not _EXPLAIN.value:
    return None
  if _EXPLAIN.value not in task.names:
    raise errors.unknown('output', _EXPLAIN.value, task.names)
  return task.names.index(_EXPLAIN.value)


def _images(loaded, pictures):
  """Return id -> pixels of the first readable pictures, and those left out."""
  from data import unlabelled
  from transfusion_tf.image_ops import validate
  from transfusion_tf.predict import engine
  from transfusion_tf.predict import pictures as pictures_lib

  form = loaded.description.form
  prepare = unlabelled.Preparer(form.kind, form.side)
  images, left_out = {}, []
  for picture in engine.rows_of(pictures):
    if len(images) == _NUM_PICTURES.value:
      break
    prepared = prepare(picture)
    reason = prepared.reason or prepared.status
    if prepared.status == pictures_lib.OK:
      pixels, statuses = loaded.read([prepared.encoded])
      reason = statuses.numpy()[0].decode()
      if reason == validate.OK:
        images[picture.id] = pixels.numpy()[0]
        continue
    left_out.append((picture.id, reason))
  return images, left_out


def main(_) -> None:
  _check_flags()
  app.import_data()
  startup.import_tensorflow()
  import tqdm

  from transfusion_tf import errors
  from transfusion_tf.heat_maps import making
  from transfusion_tf.heat_maps import page
  from transfusion_tf.heat_maps import randomization
  from transfusion_tf.predict import networks
  from transfusion_tf.predict import pictures as pictures_lib

  given, in_order = picture_flags.given(collections.Counter[str]())
  run_dir, checkpoint = checkpoint_flags.named()
  changes = {'strategy': 'one_device', 'tpu': '', 'num_virtual_cpus': 0}
  loaded = networks.load(
    run_dir, checkpoint, **changes | checkpoint_flags.runtime_changes()
  )
  task = loaded.description.task
  output = _output(task)
  with pictures_lib.Pictures.kept(given, in_order) as pictures:
    images, left_out = _images(loaded, pictures)
  if not images:
    raise errors.InputError(
      f'{picture_flags.source()}: none of its pictures can be read'
      + ''.join(f' ({name}: {reason})' for name, reason in left_out[:1])
    )
  total = len(images) * randomization.num_levels(loaded.network, _DRAWS.value)
  with tqdm.tqdm(desc='maps', unit='map', total=total, file=sys.stderr) as bar:
    result = making.make(
      loaded.network,
      images,
      output,
      _DRAWS.value,
      _STEPS.value,
      bar.update,
    )
  title = (
    f'Heat maps of {loaded.description.model}, step {loaded.description.step}'
  )
  page.write(_OUTPUT.value, title, task, result, left_out)
  _print(result, left_out)
  print(f'page: {_OUTPUT.value}')


def _print(result, left_out):
  from transfusion_tf.heat_maps import making

  for name in making.METHODS:
    survival = result.survival(name)
    print(
      f'{name}: rank correlation with maps of random weights '
      f'{survival.trained:.2f}, of those with each other {survival.random:.2f}'
      + ': these maps survive, and show nothing that was learnt'
      * survival.survives
    )
  for picture, reason in itertools.islice(left_out, 5):
    print(f'note: {picture}: {reason}')


def run() -> None:
  """Run the command."""
  app.run(main)

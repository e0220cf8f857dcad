"""Which pretrained weights this machine has, for --pretrained."""

from collections.abc import Iterator
from importlib import util
import os
import pathlib

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import run_folder
from transfusion_tf.init.sources import files

# Model -> its weights of keras.applications, as Keras keeps them.
_PUBLISHED = {
  'resnet50': 'resnet50_weights_tf_dim_ordering_tf_kernels.h5',
  'inception_v3': 'inception_v3_weights_tf_dim_ordering_tf_kernels.h5',
}
# Extra of `pip install transfusion_tf[EXTRA]` -> a module that it brings.
_EXTRAS = {'beam': 'apache_beam', 'dicom': 'pydicom'}
_CHECKPOINTS = (run_folder.CHECKPOINTS, '.git', '.venv')


def lines(folder: str | None) -> Iterator[str]:
  """Yield what there is, a line each.

  Args:
    folder: Where runs and files are looked for; the present one if empty.
  """
  yield 'Published weights, MODEL=imagenet:'
  for model, name in _PUBLISHED.items():
    path = _keras_home() / 'models' / name
    yield f'  {model}: {path if path.exists() else "downloaded when used"}'
  root = pathlib.Path(folder or '.')
  runs, weights = _find(root)
  yield f'Finished runs below {root}, MODEL=FOLDER:'
  yield from [f'  {_describe(run)}' for run in runs] or ['  none']
  yield f'Weights files below {root}, MODEL=FILE:'
  yield from [f'  {path}' for path in weights] or ['  none']
  yield 'Extras:'
  for extra, module in _EXTRAS.items():
    state = 'installed' if util.find_spec(module) else 'not installed'
    yield f'  {extra}: {state}'


def _keras_home():
  home = os.environ.get('KERAS_HOME')
  return pathlib.Path(home) if home else pathlib.Path.home() / '.keras'


def _find(root):
  """Return the finished runs, and the weights files outside of runs."""
  runs, weights = [], []
  for parent, folders, names in os.walk(root):
    folders[:] = sorted(set(folders) - set(_CHECKPOINTS))
    if run_folder.RESULT in names and run_folder.CONFIG in names:
      runs.append(parent)
      folders.clear()
      continue
    weights += [
      os.path.join(parent, name)
      for name in sorted(names)
      if name.endswith(files.SUFFIXES)
    ]
  return runs, weights


def _describe(run_dir):
  """Return a run's folder, and what it learned."""
  try:
    experiment = config.load(os.path.join(run_dir, run_folder.CONFIG))
  except errors.InputError as error:
    return f'{run_dir}: damaged: {error}'
  model, data = experiment.model.name, experiment.data
  return f'{model}={run_dir} ({data.dataset}, {data.image_size} px)'

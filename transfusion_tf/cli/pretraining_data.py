"""The data set that the networks of a study are pretrained on."""

import os

from transfusion_tf.cli import app
from transfusion_tf.cli import own_images
from transfusion_tf.cli import plan_flags

_FLAG = 'pretrain_on'


def prepare(
  value: str, root: str, refuse_bad: bool, seed: int = 0
) -> tuple[str, str]:
  """Return the folder and the name of what --pretrain_on names.

  A prepared set with labels, for training and for validation, is used as it is,
  and needs no clone. Anything else that --data takes is prepared in the study's
  folder, once.

  Args:
    value: Value of --pretrain_on.
    root: The study's folder.
    refuse_bad: If false, bad images are left out.
    seed: Seed of the splits that are drawn.

  Raises:
    InputError: There is nothing of that name, or the images are not usable.
  """
  value = value.rstrip('/')
  if _is_prepared(value):
    return os.path.split(value)
  app.import_data()
  made = os.path.join(root, 'pretraining_data')
  given = own_images.given(value, None, None, made, _FLAG)
  if _is_prepared(given.path):  # The set of a name.
    return os.path.split(given.path)
  plan_flags.check_prepared(made)
  return made, own_images.prepare_pretraining(made, given, refuse_bad, seed)


def _is_prepared(path):
  from transfusion_tf import datasets
  from transfusion_tf import storage
  from transfusion_tf.input_pipeline import tfds_folder

  # Hugging Face's library has files of the same name, and no features.json.
  folders = map(os.path.dirname, datasets.info_files(path))
  if not any(storage.exists(f'{folder}/features.json') for folder in folders):
    return False
  opened = tfds_folder.open_dataset(*os.path.split(path))
  needed = {tfds_folder.TRAIN, tfds_folder.VALIDATION}
  return bool(opened.label_kind) and needed <= set(opened.splits)

"""How far training moved each stage of a study's networks."""

import math
import re

import pandas as pd

from transfusion_tf import errors
from transfusion_tf import startup
from transfusion_tf.analysis import compare_runs
from transfusion_tf.analysis import sampling
from transfusion_tf.study import decision

_NO_ROWS = pd.DataFrame(
  columns=['layer', 'mean', 'noise_floor', 'model', 'start']
)
# Enough for a noise floor near 0.1 on a few hundred images.
_SAMPLING = sampling.Sampling(num_patches=8_000, num_channels=32, repeats=3)
# What `similarity` says, in words of options that a study does not have.
_TOO_FEW = re.compile(
  r'(?P<stage>.+): (?P<patches>\d+) patches of (?P<images>\d+) images for '
  r'(?P<channels>\d+) channels'
)


def measure(
  runs: decision.Runs, failed: dict[str, str] | None = None
) -> tuple[pd.DataFrame, dict[str, str]]:
  """Compare each stage before and after training (Figure 3), first seeds only.

  Args:
    runs: Finished runs.
    failed: Gets what failed for another reason than its input, and why.

  Returns:
    A row for each model, start and layer: `mean` and `noise_floor`; and model,
    or model and start -> why it has none, e.g. because there are too few
    images.
  """
  tables, refused = [_NO_ROWS], {}
  for model, starts in runs.items():
    folders = {start: seeds[0].run_dir for start, seeds in starts.items()}
    made, lost = _compare_starts(folders)
    for start, error in lost.items():
      name = f'{model} from {start}' if made else model
      refused[name] = _in_words_of_a_study(startup.report_error(error))
      if failed is not None and not isinstance(error, errors.InputError):
        failed[f'Comparing {name}'] = refused[name]
    tables += [table.assign(model=model) for table in made]
  return pd.concat(tables[1:] or tables, ignore_index=True), refused


def _compare_starts(folders):
  """Return tables of the starts of a model, and start -> its exception."""
  try:
    return [_before_and_after(folders)], {}
  except Exception as error:  # Whatever a user's network does.
    if len(folders) == 1:
      return [], dict.fromkeys(folders, error)
  made, lost = [], {}
  for start, folder in folders.items():  # One may be all that is wrong.
    tables, errors_of_start = _compare_starts({start: folder})
    made += tables
    lost |= errors_of_start
  return made, lost


def _before_and_after(folders):
  """Return `layer`, `mean`, `noise_floor` and `start` of {start: run}."""
  table = compare_runs.before_and_after(
    list(folders.values()), sampling=_SAMPLING
  )
  groups = table.groupby(['b', 'layer'], sort=False)[['mean', 'noise_floor']]
  table = groups.mean().reset_index()
  start_of = dict(zip(table['b'].unique(), folders, strict=True))
  return table.assign(start=table.pop('b').map(start_of.get))


def _in_words_of_a_study(reason):
  """Return a reason without options of `Sampling`, which no flag here sets."""
  few = _TOO_FEW.match(reason)
  if not few:
    return reason
  patches, images, channels = (
    int(few[name]) for name in ('patches', 'images', 'channels')
  )
  # Each repeat leaves one part of the images out.
  part = images / _SAMPLING.repeats
  needed = _SAMPLING.repeats * math.ceil((channels + 1) * part / patches)
  return (
    f'{few["stage"]}: {images} test images are too few to compare this stage, '
    f'which takes {needed} or more'
  )

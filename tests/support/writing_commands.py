"""The commands that write, with flags, and what they write when left alone."""

import hashlib
import os

import prepared_sets

from transfusion_tf import flagfile

DEMO = ('--set=retina', '--num_patients=60', '--image_size=64')
_STUDY = (
  *('--dataset=retina', '--models=cbr_tiny', '--inits=random'),
  *('--seeds=2', '--epochs=1', '--num_processes=2', '--noprobes'),
  *('--image_size=32', '--batch_size=16', '--nolocate_benefit'),
)
# Command -> its flags, for a folder to write to. Those of `EXACT` write the
# same bytes each time; of the others, files with the same names.
COMMANDS = {
  'make_demo_data': lambda root, out: [f'--raw_dir={out}', *DEMO],
  'prepare_data': lambda root, out: [
    *(f'--manual_dir={root}/raw/retina', f'--data_dir={out}'),
    *('--dataset=retina', '--image_size=48'),
  ],
  'import_slim': lambda root, out: [
    *(f'--checkpoint={root}/slim/resnet50.ckpt', '--model=resnet50'),
    f'--output={out}.npz',
  ],
  'train': lambda root, out: flagfile.lines(
    prepared_sets.experiment(root / 'data'), 'demo_retina', str(out)
  ).splitlines(),
  'extract_activations': lambda root, out: [
    *(f'--run_dir={root}/run', f'--output={out}'),
  ],
  'svcca': lambda root, out: [
    *(f'--a={root}/run@init', f'--b={root}/run', f'--output={out}.json'),
    *('--layers=conv1,conv2', '--num_patches=2000'),
  ],
  'evaluate': lambda root, out: [f'--run_dir={_copy(root, out)}'],
  'predict': lambda root, out: [
    *(f'--run_dir={root}/run', f'--images={root}/raw', f'--output={out}.csv'),
  ],
  'heat_maps': lambda root, out: [
    *(f'--run_dir={root}/run', f'--images={root}/raw', f'--output={out}.html'),
    *('--num_pictures=2', '--steps=8', '--draws=1'),
  ],
  'export': lambda root, out: [
    *(f'--run_dir={root}/run', f'--export_dir={out}', '--overwrite'),
  ],
  'export_data': lambda root, out: [
    *(f'--data_dir={root}/data', '--dataset=retina', f'--output_dir={out}'),
    '--overwrite',
  ],
  'study': lambda root, out: [
    *(f'--data_dir={root}/data', f'--output_dir={out}', *_STUDY),
  ],
  'reproduce': lambda root, out: [
    *('--target=table5', '--quick', '--draw_only', f'--output_dir={out}'),
  ],
}
EXACT = (
  *('make_demo_data', 'prepare_data', 'import_slim'),
  *('extract_activations', 'svcca', 'predict', 'export_data'),
)


def _copy(root, out):
  """Links to the files of a run, in a folder of its own."""
  run = root / 'run'
  for path in run.rglob('*'):
    if path.is_file() and not path.name.startswith('scores_'):
      link = out / path.relative_to(run)
      link.parent.mkdir(parents=True, exist_ok=True)
      if not link.exists():
        os.link(path, link)
  return out


def files(out):
  """The files of OUT, or the one beside it: name -> digest."""
  endings = ('json', 'npz', 'csv', 'csv.json', 'html')
  single = [out.with_name(f'{out.name}.{ending}') for ending in endings]
  found = [*single, *out.rglob('*')]
  return {
    str(path).removeprefix(str(out)): hashlib.sha256(
      path.read_bytes()
    ).hexdigest()
    for path in found
    if path.is_file() and 'tfevents' not in path.name  # Named by the time.
  }


def check(command, out, undisturbed):
  """What a command has made is as if nothing had happened to it."""
  made, expected = files(out), files(undisturbed)
  assert made.keys() == expected.keys()
  if command in EXACT:
    assert made == expected
  assert not [name for name in os.listdir(out.parent) if 'partial' in name]
  assert not [path for path in out.rglob('incomplete*')]

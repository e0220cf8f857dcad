"""--cluster and its flags: what does not go together is one line."""

import pytest

_STUDY = ('--dataset=retina', '--models=cbr_tiny', '--inits=random')


def _refused(call, name, *flags):
  """Return the one line of a command that is refused."""
  done = call(name, *flags)
  assert done.returncode == 2, done.stderr
  (line,) = done.stderr.splitlines()
  return line


@pytest.mark.parametrize(
  ('flags', 'said'),
  [
    (['--cluster=auto', '--time_limit=2h'], 'give one of them'),
    (['--run_cpus=2'], '--run_cpus is for runs on a cluster'),
    (['--run_gpus=0.5'], '--run_gpus is for runs on a cluster'),
    (['--cluster=auto', '--run_gpus=1.5'], 'a whole number of them'),
    (['--cluster=auto', '--run_resources=TPU'], 'write NAME=AMOUNT'),
    (['--cluster=127.0.0.1:9'], 'no head of a Ray cluster answers'),
    (['--cluster=head'], 'not auto nor HOST:PORT'),
  ],
)
def test_a_study_refuses(call, data_dir, tmp_path, flags, said):
  root = tmp_path / 'study'
  place = (f'--data_dir={data_dir}', f'--output_dir={root}')
  assert said in _refused(call, 'study.py', *_STUDY, *place, *flags)
  assert not list(root.glob('cbr_tiny'))


def test_tables_are_refused_alike(call, data_dir, tmp_path):
  flags = ('--target=table1', '--run_nodes=4', f'--data_dir={data_dir}')
  said = _refused(call, 'reproduce.py', *flags, f'--output_dir={tmp_path}')
  assert '--run_nodes is for runs on a cluster' in said

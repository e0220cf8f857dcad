"""What commands that write begin with."""

import paths
import prepared_sets
import processes
import pytest
import slim_graphs
import writing_commands


@pytest.fixture(scope='module')
def root(server, data_dir, tmp_path_factory):
  """Photographs, a data set, a run and a checkpoint of TF-Slim's."""
  root = tmp_path_factory.mktemp('root')
  flags = (f'--raw_dir={root}/raw', *writing_commands.DEMO)
  assert not processes.call(server, 'make_demo_data.py', *flags).returncode
  (root / 'data').symlink_to(data_dir)
  experiment = prepared_sets.experiment(root / 'data')
  processes.train(server, experiment, root / 'run').succeed()
  (root / 'slim').mkdir()
  slim_graphs.save(root / 'slim', 'resnet50')
  return root


@pytest.fixture
def start(server, request, tmp_path):
  """Starts a command: `start('export', OUT)`."""
  scratch = tmp_path / 'scratch'
  scratch.mkdir()

  def start(command, out, server=server):
    needs_root = command != 'make_demo_data'
    root = request.getfixturevalue('root') if needs_root else None
    log = tmp_path / f'{command}.{len(list(tmp_path.iterdir()))}'
    return processes.Process(
      server,
      paths.BIN / f'{command}.py',
      writing_commands.COMMANDS[command](root, out),
      f'{log}.log',
      {'TMPDIR': str(scratch)},
      f'{log}.errors',
    )

  return start

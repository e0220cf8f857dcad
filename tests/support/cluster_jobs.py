"""Small jobs for a cluster: they travel as a user's module does."""

import os
import pathlib
import signal
import time

from transfusion_tf import errors


def nap(folder, key, seconds=0.0):
  """Write when it begins, and when it ends, to FOLDER/KEY."""
  path = pathlib.Path(folder, key)
  _write(path, 'begin')
  time.sleep(seconds)
  _write(path, 'end')


def fail(folder, key):
  """Raise an exception, as a run that cannot go on."""
  _write(pathlib.Path(folder, key), 'begin')
  raise errors.RunError(f'{key} cannot go on')


def die(folder, key, times):
  """Kill the own process so many times, then end well."""
  path = pathlib.Path(folder, key)
  _write(path, 'begin')
  if len(path.read_text().splitlines()) <= times:
    os.kill(os.getpid(), signal.SIGKILL)


def saved(folder, key):
  """Run until SIGTERM comes, then leave a file as a checkpoint is left."""
  path = pathlib.Path(folder, key)
  _write(path, 'begin')
  try:
    time.sleep(600)
  except SystemExit:
    _write(path, 'saved')
    raise


def share(folder, key, shared):
  """Note what the group's process has done before."""
  shared.append(key)
  pathlib.Path(folder, key).write_text(' '.join(shared))


def _write(path, word):
  with path.open('a') as file:
    file.write(f'{word} {time.time()} {os.getpid()}\n')


def show_gpus(folder, key):
  """Write when it ran, on which node, and the GPUs that it was shown."""
  import ray

  begin = time.time()
  time.sleep(0.5)
  gpus = os.environ['CUDA_VISIBLE_DEVICES'].split(',')
  node = ray.get_runtime_context().get_node_id()
  text = ' '.join([str(begin), str(time.time()), node, *gpus])
  pathlib.Path(folder, key).write_text(text)

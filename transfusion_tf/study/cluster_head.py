"""The head of a cluster: found, connected with, and watched."""

import os
import socket
import time

import ray

from transfusion_tf import errors
from transfusion_tf.study import cluster_messages as messages

_CONNECT_SECONDS = 5.0
_LOOK_EVERY, _MOST_MISSES = 5.0, 9


def find(address: str) -> str:
  """Return HOST:PORT of the head, which answers.

  Args:
    address: The same, or `auto`.

  Raises:
    InputError: There is none.
  """
  remedy = 'start one with `ray start --head`, or give another --cluster'
  if address == 'auto':
    from ray._private import utils

    found = os.environ.get('RAY_ADDRESS') or utils.read_ray_address()
    if not found:
      raise errors.InputError(
        f'--cluster=auto: no Ray cluster runs on this machine; {remedy}'
      )
    address = found
  host, _, port = address.rpartition(':')
  if not host or not port.isdecimal() or '/' in host:
    raise errors.InputError(
      f'--cluster={address}: not auto nor HOST:PORT of the head of a cluster'
    )
  if not _is_reached(address):
    raise errors.InputError(
      f'--cluster={address}: no head of a Ray cluster answers; {remedy}'
    )
  return address


def _is_reached(address):
  host, _, port = address.rpartition(':')
  try:
    socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
  except OSError:
    return False
  return True


def connect(address: str, settings: messages.Settings) -> None:
  """Let this process be a driver of the cluster.

  Raises:
    InputError: Ray refuses, e.g. since another version runs there.
  """
  try:
    ray.init(
      address=address,
      log_to_driver=False,
      logging_level='CRITICAL',
      runtime_env={
        'py_modules': list(settings.modules),
        'excludes': ['__pycache__'],
        'env_vars': dict(settings.environment),
      },
    )
  # Ray raises errors of many kinds, e.g. of other versions.
  except (Exception, SystemExit) as error:
    raise errors.InputError(
      f'--cluster={address}: {errors.describe(error)}'
    ) from None


def watch(address: str) -> None:
  """End the process once the head does not answer any more."""
  missed = 0
  while missed < _MOST_MISSES:
    time.sleep(_LOOK_EVERY)
    missed = 0 if _is_reached(address) else missed + 1
  os._exit(1)

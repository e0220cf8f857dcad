"""What a machine can train on, and what is said where it cannot."""

import socket

import pytest

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import startup
from transfusion_tf import tpu_settings
from transfusion_tf.train import devices
from transfusion_tf.train import strategy as strategy_lib


def _runtime(**changes):
  changes = {f'runtime.{name}': value for name, value in changes.items()}
  return config.override(config.RETINA, changes).runtime


def test_the_devices_of_this_machine_are_listed():
  text = '\n'.join(devices.check(_runtime()))
  assert 'Device: CPU:0' in text
  assert 'OneDeviceStrategy, 1 replicas on 1 hosts' in text


@pytest.mark.parametrize('tpu', ['local', 'NAME', 'grpc://localhost:{port}'])
def test_a_tpu_that_is_not_there_is_one_line(tpu):
  with socket.socket() as free:
    free.bind(('localhost', 0))  # Nobody listens.
    runtime = _runtime(
      strategy='tpu', tpu=tpu.format(port=free.getsockname()[1])
    )
    with pytest.raises(errors.InputError, match='no such TPU') as caught:
      strategy_lib.make(runtime)
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
  'task_config',
  [
    'no JSON',
    '{"cluster": 3, "task": {"type": "worker", "index": 0}}',
    '{"cluster": {"worker": ["a:1", "b:2"]}}',
    '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 5}}',
  ],
)
def test_what_is_no_tf_config_is_one_line(monkeypatch, task_config):
  monkeypatch.setenv('TF_CONFIG', task_config)
  with pytest.raises(errors.InputError, match='TF_CONFIG: ') as caught:
    strategy_lib.make(_runtime(strategy='multi_worker'))
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
  ('installed', 'message'),
  [
    ({'tensorflow': '2.21.0', 'tensorflow-tpu': '2.20.0'}, 'one folder'),
    ({'tensorflow-tpu': '2.20.0', 'libtpu': '0.0.42'}, 'libtpu<=0.0.31'),
    ({'tensorflow-tpu': '2.20.0', 'libtpu': '0.0.31'}, None),
    ({'tensorflow': '2.21.0', 'libtpu': '0.0.42'}, None),
  ],
)
def test_wheels_that_do_not_go_together_are_refused(installed, message):
  if message is None:
    tpu_settings.check(installed)
    return
  with pytest.raises(errors.InputError, match=message):
    tpu_settings.check(installed)


@pytest.mark.parametrize(
  ('before', 'on_google_cloud', 'chips', 'expected'),
  [
    ({}, False, False, 'TPU_SKIP_MDS_QUERY'),
    ({'TPU_NAME': 'pod'}, True, True, 'TPU_LOAD_LIBRARY'),
    ({}, True, True, 'PJRT_DEVICE'),
    ({}, True, False, None),
  ],
)
def test_the_wheel_for_tpus_finds_what_it_reads(
  before, on_google_cloud, chips, expected
):
  settings = tpu_settings._settings(before, on_google_cloud, chips)
  assert (expected in settings) if expected else not settings


def test_the_users_settings_come_first(monkeypatch):
  monkeypatch.setattr(
    tpu_settings, 'wheels', lambda: {'tensorflow-tpu': '2.20.0'}
  )
  monkeypatch.setattr(tpu_settings, 'is_on_google_cloud', lambda: False)
  found = startup.environment({'TPU_WORKER_ID': '3'})
  assert found['TPU_WORKER_ID'] == '3'
  assert found['TPU_SKIP_MDS_QUERY'] == '1'

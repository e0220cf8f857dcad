"""Rearranging the code changes no figure; see `golden`."""

import json

import golden
import paths
import processes
import pytest


@pytest.mark.parametrize(
  ('network', 'starts'),
  [
    ('cbr_tiny', ['random']),
    pytest.param('cbr_tiny', golden.STARTS, marks=pytest.mark.slow),
    pytest.param('resnet50', golden.STARTS, marks=pytest.mark.slow),
  ],
)
def test_figures_are_those_of_the_first_release(
  network, starts, server, tmp_path
):
  done = processes.call_script(
    server, golden.__file__, paths.BIN, tmp_path, network, *starts
  )
  assert not done.returncode, done.stderr
  found = json.loads((tmp_path / f'{network}.json').read_text())
  path = paths.TESTS / 'vectors' / f'golden_{network}.json'
  expected = json.loads(path.read_text())
  expected['weights'] = {s: expected['weights'][s] for s in starts}
  if found['processor'] == expected['processor']:
    assert found == expected
    return
  # Another processor rounds otherwise, and JPEGs are data of libraries.
  for kind in ('weights', 'svcca', 'export'):
    _assert_close(found[kind], expected[kind])


def _assert_close(found, expected):
  if 'sha256' not in expected:
    assert found.keys() == expected.keys()
    for name, facts in expected.items():
      _assert_close(found[name], facts)
    return
  assert found['count'] == expected['count']
  for number in ('mean', 'stddev'):
    assert found[number] == pytest.approx(expected[number], rel=0.1, abs=1e-3)

"""Exports in servers: TF Serving's files and interfaces, and a real BentoML."""

import base64
from concurrent import futures
import io
import itertools
import json
import os
import random
import re
import shlex
import subprocess
import sys
import time

import mutations
import numpy as np
import paths
from PIL import Image
import prediction_service
import prepared_sets
import pytest
import raw_sets
import rest_rules
import served_network
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from transfusion_tf import export
from transfusion_tf.export import exporting
from transfusion_tf.export.serving import examples
from transfusion_tf.export.serving import warm_up
from transfusion_tf.run import build as run_lib

_CLIENTS = 4


@pytest.fixture(scope='module')
def exported(tmp_path_factory, data_dir):
  """An export of a network that has not been trained."""
  run = run_lib.build(
    prepared_sets.experiment(data_dir, model__name='tiny_nets:net')
  )
  folder = tmp_path_factory.mktemp('exported') / 'MODEL' / '1'
  export.export(run, folder)
  return folder


@pytest.fixture(scope='module')
def loaded(exported):
  return tf.saved_model.load(exported)


@pytest.fixture(scope='module')
def card(exported):
  return (exported / exporting.CARD).read_text('utf-8')


@pytest.fixture(scope='module')
def served(exported, tmp_path_factory):
  with served_network.serving(exported, tmp_path_factory.mktemp('bento')) as s:
    yield s


def _curls(card):
  """The words of the card's lines of curl."""
  lines = [line for line in card.splitlines() if line.startswith('curl ')]
  return [shlex.split(line) for line in lines]


def _requests(card):
  """The bodies of the card's lines of curl."""
  return [words[-1] for words in _curls(card)]


def test_the_cards_curl_says_that_it_sends_json(card):
  """Else it says that it sends a form, and BentoML finds nothing in it."""
  assert len(_curls(card)) == 2
  for words in _curls(card):
    assert words[words.index('-H') + 1] == 'Content-Type: application/json'


def _answers(card):
  return [
    json.loads(text, parse_constant=served_network.refuse)
    for text in re.findall(r'```json\n(.*?)```', card, re.DOTALL)
  ]


def test_the_warm_up_is_read_by_the_package_of_tf_serving(exported, loaded):
  path = str(exported / warm_up.PATH)
  called = []
  for record in tf.data.TFRecordDataset(path).as_numpy_iterator():
    log = prediction_log_pb2.PredictionLog.FromString(record)
    assert log.WhichOneof('log_type') == 'predict_log'
    assert log.SerializeToString(deterministic=True) == record
    request = log.predict_log.request
    files = tf.constant(tf.make_ndarray(request.inputs['image_bytes']))
    name = request.model_spec.signature_name
    found = loaded.signatures[name](image_bytes=files)
    assert found['status'].numpy().tolist() == [b'ok']
    called.append(name)
  assert called == ['serving_default', 'serve', 'serve_prepared']
  assert os.path.getsize(path) < 4096


@pytest.mark.slow
def test_after_the_warm_up_the_first_call_does_not_wait(tmp_path, data_dir):
  run = run_lib.build(prepared_sets.experiment(data_dir, data__image_size=224))
  export.export(run, tmp_path / 'export')
  cold, warm = (
    json.loads(
      subprocess.run(
        [
          *(sys.executable, '-I', paths.TESTS / 'support/first_call.py'),
          *(tmp_path / 'export', kind),
        ],
        capture_output=True,
        check=True,
      ).stdout
    )
    for kind in ('cold', 'warm')
  )
  assert warm['first'] < cold['first'] / 4
  assert warm['first'] < 4 * warm['second']


def test_the_picture_is_small_and_a_disc():
  picture = Image.open(io.BytesIO(examples.picture()))
  assert (picture.format, picture.size) == ('JPEG', (32, 32))
  pixels = np.asarray(picture).astype(int)
  assert pixels[0, 0].max() < 20 and pixels[16, 16].max() > 200
  assert not picture.getexif() and len(examples.picture()) < 1024


def test_the_cards_requests_have_the_cards_answers(card, loaded):
  requests, answers = _requests(card), _answers(card)
  assert [set(json.loads(r)) for r in requests] == [
    {'instances'},
    {'signature_name', 'inputs'},
  ]
  for request, told in zip(requests, answers, strict=True):
    found = rest_rules.answer(loaded, request)
    assert _is_same(found, told)
    assert '"ok"' in json.dumps(told) and '"empty"' in json.dumps(told)


def _is_same(found, expected):
  """Whether JSON is what it should be, with numbers as exact as float32 is."""
  if isinstance(expected, dict):
    return found.keys() == expected.keys() and all(
      _is_same(found[key], value) for key, value in expected.items()
    )
  if isinstance(expected, list):
    return len(found) == len(expected) and all(map(_is_same, found, expected))
  if isinstance(expected, float):
    return abs(found - expected) <= 1e-6
  return found == expected


def test_the_cards_grpc_example_prints_what_the_card_says(
  card, loaded, tmp_path, monkeypatch, capsys
):
  example, printed = re.search(
    r'```python\n(import grpc.*?)```.*?```\n(.*?)```', card, re.DOTALL
  ).groups()
  picture, _ = json.loads(_requests(card)[0])['instances']
  (tmp_path / 'one.jpeg').write_bytes(base64.b64decode(picture['b64']))
  (tmp_path / 'two.jpeg').write_bytes(b'')
  monkeypatch.chdir(tmp_path)
  with prediction_service.serving(loaded) as port:
    exec(example.replace('localhost:8500', f'127.0.0.1:{port}'), {})
  assert capsys.readouterr().out == printed


def test_names_of_classes_end_no_example():
  names = ['```', '<b>', '[x](y)', '"\\`', 'Ödem']
  text = examples.make(
    lambda files: {
      'class_names': tf.constant([names, names]),
      'probabilities': tf.zeros([2, 5]),
      'status': tf.constant(['ok', 'empty']),
    }
  )
  for answer in (text.row_answer, text.column_answer):
    assert not set('`<') & set(answer) and '[x]' not in answer
  outputs = json.loads(text.column_answer)['outputs']
  assert outputs['class_names'] == [names, names]


def test_a_real_server_gives_the_cards_answer(card, served):
  request, _ = _requests(card)
  status, answer = served_network.Client(served).post(request.encode())
  assert status == 200
  assert _is_same(answer, _answers(card)[0])


def _body(*files, **more):
  encoded = [{'b64': base64.b64encode(file).decode()} for file in files]
  return json.dumps({'instances': encoded} | more).encode()


_NO_REQUESTS = {
  'no bytes': b'',
  'no JSON': b'{"instances": [',
  'no UTF-8': b'{"instances": [{"b64": "\xff"}]}',
  'no object': b'[]',
  'no instances': b'{"images": []}',
  'no list': b'{"instances": {"b64": ""}}',
  'no field b64': b'{"instances": [{"jpeg": ""}]}',
  'no text': b'{"instances": [{"b64": 1}]}',
  'NaN': b'{"instances": [{"b64": NaN}]}',
  'no base64': b'{"instances": [{"b64": "*"}]}',
  'half of base64': b'{"instances": [{"b64": "abc"}]}',
  'no such signature': _body(b'', signature_name='pixels_of_mine'),
}
_JPEG = mutations.pictures()['jpeg']
_BAD_FILES = {
  'empty': b'',
  'not_jpeg_or_png': random.Random(0).randbytes(1000),
  'damaged': _JPEG[: len(_JPEG) // 2],
  'too_large': raw_sets.bomb(15_000),
}


@pytest.mark.parametrize('kind', _NO_REQUESTS)
def test_what_is_no_request_is_refused(kind, served):
  status, answer = served_network.Client(served).post(_NO_REQUESTS[kind])
  assert status == 400 and answer['error']


def test_pickles_are_not_loaded(served):
  client = served_network.Client(served)
  kind = {'Content-Type': 'application/vnd.bentoml+pickle'}
  status, _ = client.post(b'\x80\x04N.', **kind)
  assert status == 415


class _Requests:
  """Requests, a tenth of them bad, and what is right for each."""

  def __init__(self, network):
    good = mutations.pictures()
    self._answers = {
      file: rest_rules.answer(network, _body(file))['predictions'][0]
      for file in (*good.values(), *_BAD_FILES.values())
    }
    self._good = list(good.values())

  def check(self, client, number):
    """Make the request of a number; return the seconds that it took."""
    rng = random.Random(number)
    if number % 20 == 0:
      status, answer = client.post(rng.choice(list(_NO_REQUESTS.values())))
      assert status == 400 and answer['error']
      return None
    files = [rng.choice(self._good)]
    if number % 20 == 10:
      files.append(rng.choice(list(_BAD_FILES.values())))
    body = _body(*files)
    start = time.perf_counter()
    status, answer = client.post(body)
    seconds = time.perf_counter() - start
    assert status == 200
    expected = [self._answers[file] for file in files]
    assert _is_same(answer['predictions'], expected)
    return seconds

  def run(self, served, numbers):
    """Make requests by several clients at a time; return the seconds."""

    def work(shard):
      client = served_network.Client(served)
      return [self.check(client, number) for number in shard]

    with futures.ThreadPoolExecutor(_CLIENTS) as pool:
      shards = [numbers[n::_CLIENTS] for n in range(_CLIENTS)]
      found = [s for shard in pool.map(work, shards) for s in shard]
    return [seconds for seconds in found if seconds is not None]


def test_clients_get_the_networks_own_answers(served, loaded):
  requests = _Requests(loaded)
  assert len(requests.run(served, range(200))) == 190


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_twenty_thousand_requests_a_tenth_of_them_bad(served, loaded, capsys):
  """BentoML fills buffers of its own in the first 12,000."""
  requests = _Requests(loaded)
  seconds, memory = [], {}
  start = time.perf_counter()
  for begin, end in itertools.pairwise((0, 2_000, 10_000, 12_000, 20_000)):
    seconds += requests.run(served, range(begin, end))
    memory[end] = served.memory / 2**20
  rate = 20_000 / (time.perf_counter() - start)
  p50, p99 = 1e3 * np.percentile(seconds, [50, 99])
  with capsys.disabled():
    print(
      f'\n{_CLIENTS} clients: p50 {p50:.1f} ms, p99 {p99:.1f} ms, {rate:.0f} '
      f'requests a second; load average {os.getloadavg()[0]:.1f}; MiB after '
      + ', '.join(f'{count:,}: {size:.0f}' for count, size in memory.items())
    )
  assert memory[10_000] - memory[2_000] < 100
  assert memory[20_000] - memory[12_000] < 20

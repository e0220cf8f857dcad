"""What a run writes for TensorBoard, asked of a running TensorBoard."""

import collections
import contextlib
import functools
import io
import json
import pathlib
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np
from PIL import Image
import prepared_sets
import pytest
import runs
import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2
import tiny_training

from transfusion_tf import run_folder
from transfusion_tf import tasks
from transfusion_tf.models import filters
from transfusion_tf.run import train_and_evaluate
from transfusion_tf.run.tensorboard import event_files
from transfusion_tf.run.tensorboard import plots
from transfusion_tf.run.tensorboard import run_summaries
from transfusion_tf.train import checkpoint
from transfusion_tf.train import progress

_STEPS, _EVAL_EVERY = 18, 6
_PROFILED = 3
_SHOWN, _PLAIN = 'shown', 'plain'  # With and without pictures.


def _experiment(data_dir, **changes):
  return prepared_sets.experiment(
    data_dir,
    train__train_steps=_STEPS,
    train__eval_every=_EVAL_EVERY,
    **changes,
  )


_EXPERIMENTS = {
  _SHOWN: {'runtime__pictures': True, 'runtime__profile': _PROFILED},
  _PLAIN: {
    'model__name': 'tiny_nets:net',
    'runtime__pictures': False,
    'optimizer__learning_rate': 0.01,
  },
}


@pytest.fixture(scope='module')
def study(data_dir, tmp_path_factory):
  """A folder with two finished runs."""
  study = tmp_path_factory.mktemp('study')
  for name, changes in _EXPERIMENTS.items():
    train_and_evaluate.run(_experiment(data_dir, **changes), str(study / name))
  return study


class _Client:
  """Asks a TensorBoard."""

  def __init__(self, address):
    self._address = address

  def get(self, path, body=None):
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(
      f'{self._address}data/{path}', data, {'Content-Type': 'application/json'}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
      return answer.read()

  def ask(self, path, body=None):
    return json.loads(self.get(path, body))

  def scalars(self, run, tag):
    """Step -> value; each step may be there once."""
    found = self.ask(f'plugin/scalars/scalars?run={_tag(run)}&tag={tag}')
    assert len({step for _, step, _ in found}) == len(found)
    return {step: value for _, step, value in found}

  def images(self, run, tag):
    """Step -> uint8 [height, width, 3]."""
    query = f'run={_tag(run)}&tag={tag}&sample=0'
    found = {}
    for entry in self.ask(f'plugin/images/images?{query}'):
      png = self.get(f'plugin/images/individualImage?{entry["query"]}')
      found[entry['step']] = np.asarray(Image.open(io.BytesIO(png)))
    return found


def _tag(run):
  return f'{run}%2F{run_folder.TENSORBOARD}'


@pytest.fixture(scope='module')
def client(study):
  """TensorBoard on `study`, which has read all of it."""
  process = subprocess.Popen(
    [sys.executable, '-m', 'tensorboard.main', f'--logdir={study}', '--port=0'],
    stderr=subprocess.PIPE,
    text=True,
  )
  try:
    lines = iter(process.stderr.readline, '')
    address = next(
      found[0] for line in lines if (found := re.search(r'http://\S+', line))
    )
    client = _Client(address)
    end = time.monotonic() + 60
    while not all(_has_ended(client, run) for run in (_SHOWN, _PLAIN)):
      assert time.monotonic() < end
      time.sleep(0.2)
    yield client
  finally:
    process.kill()
    process.communicate()


def _has_ended(client, run):
  """`test/...` is what a run writes last."""
  with contextlib.suppress(urllib.error.HTTPError):
    return bool(client.scalars(run, 'test/referable'))


def test_scalars_are_the_rows_of_metrics_jsonl(client, study):
  for run in (_SHOWN, _PLAIN):
    rows = runs.rows(study / run)
    assert len(rows) == 4
    assert client.scalars(run, 'validation/referable') == pytest.approx(
      {row['step']: row['validation']['referable'] for row in rows}
    )
    assert client.scalars(run, 'train/loss') == pytest.approx(
      {row['step']: row['loss'] for row in rows[1:]}
    )
    assert client.scalars(run, 'train/learning_rate') == pytest.approx(
      {row['step']: row['learning_rate'] for row in rows}
    )


def test_pace(client):
  rate = client.scalars(_PLAIN, 'train/images_per_second')
  share = client.scalars(_PLAIN, 'train/input_wait_share')
  assert list(rate) == list(share) == [6, 12, 18]
  assert all(value > 0 for value in rate.values())
  assert all(0 <= value <= 1 for value in share.values())


def test_the_test_score_stands_at_the_judged_step(client, study):
  result = run_folder.result(str(study / _SHOWN))
  assert client.scalars(_SHOWN, 'test/referable') == pytest.approx(
    {result['judged_step']: result['test']['referable']['value']}
  )


def _weights(study, step):
  directory = study / _SHOWN / run_folder.CHECKPOINTS
  return checkpoint.read(str(directory), step)


def test_filters_are_those_of_the_checkpoints(client, study):
  found = client.images(_SHOWN, 'train/first_filters')
  assert list(found) == [0, 6, 12, 18]
  for step in runs.steps(study / _SHOWN):
    kernel = _weights(study, step)['conv1/kernel']
    zoom = -(-40 // kernel.shape[0])
    np.testing.assert_array_equal(found[step], filters.grid(kernel, zoom=zoom))


def test_histograms_are_those_of_the_checkpoints(client, study):
  found = client.ask(
    f'plugin/histograms/histograms?run={_tag(_SHOWN)}&tag=weights/conv3'
  )
  assert [step for _, step, _ in found] == [0, 6, 12, 18]
  kernel = _weights(study, 0)['conv3/kernel']
  buckets = np.array(found[0][2])
  np.testing.assert_allclose(buckets[0, 0], kernel.min(), rtol=1e-6)
  np.testing.assert_allclose(buckets[-1, 1], kernel.max(), rtol=1e-6)
  for low, high, count in buckets[:-1]:
    # Some weights lie within rounding of an edge.
    inside = ((kernel >= low) & (kernel < high)).sum()
    assert abs(count - inside) <= 3
  assert buckets[:, 2].sum() == kernel.size
  tags = client.ask('plugin/histograms/tags')[f'{_SHOWN}/tensorboard']
  assert set(tags) == {f'weights/{x}' for x in _layers(study)}


def _layers(study):
  weights = _weights(study, 0)
  return [p.removesuffix('/kernel') for p, w in weights.items() if w.ndim > 1]


def test_pictures_are_there_and_can_be_left_out(client):
  tags = client.ask('plugin/images/tags')
  assert set(tags[f'{_SHOWN}/tensorboard']) == {
    'train/first_batch',
    'validation/confusion',
    'train/first_filters',
  }
  assert not tags.get(f'{_PLAIN}/tensorboard')
  assert list(client.images(_SHOWN, 'train/first_batch')) == [0]
  matrices = client.images(_SHOWN, 'validation/confusion')
  assert list(matrices) == [0, 6, 12, 18]
  assert all(image.ndim == 3 for image in matrices.values())


def test_hparams_compare_the_runs(client, study):
  experiment = client.ask('plugin/hparams/experiment', {'experimentName': ''})
  differing = {i['name'] for i in experiment['hparamInfos'] if i.get('differs')}
  assert differing == {'learning_rate', 'model'}
  groups = client.ask(
    'plugin/hparams/session_groups',
    {
      'experimentName': '',
      'allowedStatuses': ['STATUS_SUCCESS'],
      'colParams': [{'metric': {'tag': 'headline/test'}}],
      'startIndex': 0,
      'sliceSize': 9,
    },
  )['sessionGroups']
  # A folder's name, and a digest in place of where it is.
  runs = {group['name'].rpartition('-')[0]: group for group in groups}
  assert set(runs) == set(_EXPERIMENTS)
  for name, group in runs.items():
    config = json.load(open(study / name / run_folder.CONFIG))
    assert group['hparams']['init'] == config['init']['scheme']
    assert group['hparams']['model'] == config['model']['name']
    assert group['hparams']['seed'] == config['seed']
    rate = config['optimizer']['learning_rate']
    assert group['hparams']['learning_rate'] == rate
    metrics = {m['name']['tag']: m['value'] for m in group['metricValues']}
    result = run_folder.result(str(study / name))['test']['referable']
    assert metrics['headline/test'] == pytest.approx(result['value'])


def test_a_profile_holds_the_steps_that_were_asked_for(study):
  folder = study / _SHOWN / run_folder.TENSORBOARD / 'plugins' / 'profile'
  (path,) = folder.glob('*/*.xplane.pb')
  space = xplane_pb2.XSpace.FromString(path.read_bytes())
  steps = sorted(
    stat.int64_value
    for plane in space.planes
    for line in plane.lines
    for event in line.events
    if plane.event_metadata[event.metadata_id].name == 'train'
    for stat in event.stats
    if plane.stat_metadata[stat.metadata_id].name == 'step_num'
  )
  assert steps == [10, 11, 12]
  assert not (study / _PLAIN / run_folder.TENSORBOARD / 'plugins').exists()


def _events(run_dir):
  """(step, tag) -> the bytes of each value, but for clocks."""
  found = collections.defaultdict(list)
  for path in pathlib.Path(run_dir, run_folder.TENSORBOARD).glob('*tfevents*'):
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
      event = tf.compat.v1.Event.FromString(record)
      for value in event.summary.value:
        timed = value.tag.endswith(('images_per_second', 'input_wait_share'))
        timed |= value.tag.startswith('_hparams_')
        content = b'' if timed else value.SerializeToString()
        found[event.step, value.tag].append(content)
  return found


def test_a_resumed_run_writes_each_event_once(study, data_dir, tmp_path):
  """Killed after the evaluation of the last step, before its checkpoint."""
  run_dir = tmp_path / _SHOWN
  shutil.copytree(study / _SHOWN, run_dir)
  (run_dir / run_folder.RESULT).unlink()
  shutil.rmtree(run_dir / run_folder.CHECKPOINTS / checkpoint.folder(_STEPS))
  (path,) = (run_dir / run_folder.TENSORBOARD).glob('*.v2')
  with path.open('ab') as file:
    file.write(b'the beginning of a record')
  train_and_evaluate.run(
    _experiment(data_dir, runtime__pictures=True), str(run_dir)
  )
  one, other = _events(study / _SHOWN), _events(run_dir)
  assert all(len(values) == 1 for values in other.values())
  assert one == other


def test_a_run_that_begins_anew_leaves_nothing_of_the_first_try(
  study, tmp_path
):
  tensorboard = tmp_path / run_folder.TENSORBOARD
  shutil.copytree(study / _SHOWN / run_folder.TENSORBOARD, tensorboard)
  assert _events(tmp_path)
  event_files.Summaries(str(tensorboard)).begin(None)
  assert not _events(tmp_path)


def _batches(seconds):
  """Batches, each of which takes that long to make."""

  def make():
    while True:
      time.sleep(seconds)
      x = np.zeros([tiny_training.BATCH, 3], np.float32)
      yield {'x': x, 'targets': x[:, :2], 'mask': x[:, :2]}

  signature = tf.nest.map_structure(
    lambda x: tf.TensorSpec(x.shape, x.dtype), next(make())
  )
  options = tf.data.Options()
  # Or tf.data would make batches beforehand by itself.
  options.experimental_optimization.inject_prefetch = False
  return tf.data.Dataset.from_generator(
    make, output_signature=signature
  ).with_options(options)


def _slow_prepare(seconds):
  """Makes a step take that long, at least."""

  def wait(x):
    time.sleep(seconds)
    return x

  def prepare(batch):
    x = batch['x']
    return tf.ensure_shape(tf.numpy_function(wait, [x], x.dtype), x.shape)

  return prepare


def _input_wait_share(tmp_path, batches, prepare, num_steps=20):
  parts = tiny_training.Parts(tmp_path, prepare=prepare)
  batches = iter(batches)
  parts.train_step(batches, tf.constant(1, tf.int64))  # Compiles.
  began, before = time.monotonic(), parts.train_step.seconds_waited
  parts.train_step(batches, tf.constant(num_steps, tf.int64))
  waited = parts.train_step.seconds_waited - before
  return waited / (time.monotonic() - began)


def test_waiting_for_input_is_what_the_input_does_not_do_meanwhile(tmp_path):
  share = functools.partial(_input_wait_share, tmp_path)
  one_by_one = share(_batches(0.03), _slow_prepare(0.03))
  assert 0.35 < one_by_one < 0.65
  in_time = share(_batches(0.02).prefetch(2), _slow_prepare(0.06))
  assert in_time < 0.15
  too_late = share(_batches(0.06).prefetch(2), _slow_prepare(0.02))
  assert 0.45 < too_late < 0.8  # 40 of 60 ms.


def test_without_a_clock_there_is_no_share(tmp_path):
  """TensorFlow reads none where op determinism is on."""
  parts = tiny_training.Parts(tmp_path, measure_input_wait=False)
  batches = iter(tiny_training.batches_from(0))
  parts.train_step(batches, tf.constant(2, tf.int64))
  waited = parts.train_step.seconds_waited
  assert np.isnan(waited)
  board_dir = tmp_path / run_folder.TENSORBOARD
  written = event_files.Summaries(str(board_dir))
  written.begin(None)
  row = {'step': 2, 'loss': 1.0, 'learning_rate': 0.1, 'validation': {}}
  written.row(row, progress.Throughput(100.0, waited))
  assert {tag for _, tag in _events(tmp_path)} == {
    'train/images_per_second',
    'train/learning_rate',
    'train/loss',
  }


@pytest.mark.parametrize('total', [1, 5, 9, 10, 55, 100, 101, 2_500])
@pytest.mark.parametrize('eval_every', [1, 5, 40])
def test_pictures_are_few_and_evenly_spread(total, eval_every):
  steps = sorted(run_summaries.picture_steps(total, eval_every))
  assert len(steps) <= 10
  assert {0, total} <= set(steps)
  assert all(s % eval_every == 0 or s == total for s in steps)
  if total // eval_every < 10:
    assert len(steps) == 1 + -(-total // eval_every)
  gaps = np.diff(steps)[1:-1]
  assert not gaps.size or gaps.max() == gaps.min()


def test_confusions():
  """Three examples; what is called what, by hand."""
  sure = np.eye(3)[[0, 2, 2]]
  grades = plots.confusions(
    tasks.Grades(tuple('abc'), 1), sure, {'grade': np.array([0, 1, 2])}
  )
  expected = [[1, 0, 0], [0, 0, 1], [0, 0, 1]]
  np.testing.assert_array_equal(grades['3 images'][1], expected)
  at_least = np.array([[1, 0.1, 0.1], [1, 0.9, 0.8], [1, 0.6, 0.2]])
  grades = plots.confusions(
    tasks.Grades(tuple('abc'), 1, cumulative=True),
    at_least,
    {'grade': np.array([0, 1, 2])},
  )
  expected = [[1, 0, 0], [0, 0, 1], [0, 1, 0]]
  np.testing.assert_array_equal(grades['3 images'][1], expected)
  findings = plots.confusions(
    tasks.Findings(('Edema', 'Mass'), 'ignore'),
    np.array([[0.9, 0.1], [0.2, 0.7], [0.8, 0.7]]),
    {
      'findings': {
        'Edema': np.array([tasks.POSITIVE, tasks.POSITIVE, tasks.UNCERTAIN]),
        'Mass': np.array([tasks.NEGATIVE, tasks.UNMENTIONED, tasks.POSITIVE]),
      }
    },
  )
  np.testing.assert_array_equal(findings['Edema'][1], [[0, 0], [1, 1]])
  np.testing.assert_array_equal(findings['Mass'][1], [[1, 1], [0, 1]])
  many = tasks.Classes(tuple(map(str, range(1000))))
  assert not plots.confusions(many, np.eye(1000), {'label': range(1000)})

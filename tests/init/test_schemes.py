"""Laws of the schemes, for every network: the paper's and other people's."""

import dataclasses
import hashlib
import json

import init_cases
import keras
import numpy as np
import pytest

from transfusion_tf import init
from transfusion_tf.init import compose
from transfusion_tf.init import schemes
from transfusion_tf.models import stages as stages_lib

SIGMAS = 6  # Of sampling error.
FEW = 100  # Values, below which a law of large numbers says little.


@dataclasses.dataclass
class Case:
  model: keras.Model
  stages: stages_lib.Stages
  source: dict[str, np.ndarray]
  random: list[dict]  # The report of random() at seed 3.

  def start(self, scheme, seed=3):
    """The model's values under `scheme`, and the report."""
    report = init.apply(self.model, scheme, self.stages, seed)
    return init_cases.values_of(self.model), report

  def pairs(self, values, num_least=0):
    """(path, values, the source's values), flat."""
    for path, ours in values.items():
      if ours.size > num_least:
        yield path, ours.ravel(), self.source[path].ravel()


@pytest.fixture(scope='module', params=init_cases.ALL)
def case(request):
  model, stages = init_cases.cached(request.param)
  random = init.apply(model, schemes.random(), stages, seed=3)
  return Case(model, stages, init_cases.pretrained(model), random)


def digests(report):
  return {row['path']: row['sha256'] for row in report}


def test_transfer_copies(case):
  values, report = case.start(schemes.transfer(case.source))
  assert all((ours == theirs).all() for _, ours, theirs in case.pairs(values))
  assert {row['scheme'] for row in report} == {'transfer'}


def test_mean_var_keeps_the_moments_and_nothing_else(case):
  values, _ = case.start(schemes.mean_var(case.source))
  for path, ours, theirs in case.pairs(values, FEW):
    n, sigma = ours.size, theirs.std(dtype=float)
    assert abs(ours.mean(dtype=float) - theirs.mean(dtype=float)) < (
      SIGMAS * sigma / n**0.5
    ), path
    correlation = np.corrcoef(ours, theirs)[0, 1]
    assert abs(correlation) < SIGMAS / n**0.5, path
    if path.endswith('moving_variance'):
      assert ours.min() > 0
    else:
      ratio = ours.var(dtype=float) / theirs.var(dtype=float)
      assert abs(ratio - 1) < SIGMAS * (2 / n) ** 0.5, path


def test_shuffled_keeps_the_multiset_and_not_the_order(case):
  values, _ = case.start(schemes.shuffled(case.source))
  for path, ours, theirs in case.pairs(values):
    assert np.array_equal(np.sort(ours), np.sort(theirs)), path
    if ours.size > FEW:
      assert abs(np.corrcoef(ours, theirs)[0, 1]) < SIGMAS / ours.size**0.5


def test_sampling_draws_source_values_independently(case):
  values, _ = case.start(schemes.sampling(case.source))
  for path, ours, theirs in case.pairs(values):
    known, few = np.sort(theirs), ours[:2000]
    places = np.minimum(np.searchsorted(known, few), known.size - 1)
    assert (known[places] == few).all(), path
    if 10_000 < ours.size < 100_000:
      # Drawing n of n with replacement leaves out a share of 1/e.
      share = np.unique(ours).size / np.unique(theirs).size
      assert abs(share - (1 - np.exp(-1))) < 0.02, path


def test_random_is_each_layers_own(case):
  case.start(schemes.transfer(case.source))
  values, report = case.start(schemes.random())
  assert report == case.random
  for path, ours, theirs in case.pairs(values):
    last = path.rsplit('/', 1)[-1]
    if last in ('gamma', 'moving_variance'):
      assert (ours == 1).all(), path
    elif last in ('beta', 'bias', 'moving_mean', 'alpha'):
      assert (ours == 0).all(), path
    elif ours.size > FEW:
      assert abs(ours.mean()) < SIGMAS * ours.std() / ours.size**0.5, path
      assert abs(np.corrcoef(ours, theirs)[0, 1]) < SIGMAS / ours.size**0.5


def test_the_report_covers_every_weight_once(case):
  scheme = compose.by_role(schemes.mean_var(case.source), bn=schemes.identity())
  values, report = case.start(scheme)
  assert [row['path'] for row in report] == [w.path for w in case.model.weights]
  for row in report:
    ours = values[row['path']]
    assert row['stage'] == case.stages.stage_of(row['path'])
    assert row['shape'] == list(ours.shape)
    assert row['mean'] == pytest.approx(ours.mean(dtype=float), abs=1e-12)
    assert row['stddev'] == pytest.approx(ours.std(dtype=float), abs=1e-12)
    assert row['sha256'] == hashlib.sha256(ours.tobytes()).hexdigest()
    assert row['scheme'] == ('identity' if row['role'] == 'bn' else 'mean_var')
  json.dumps(report, allow_nan=False)


def test_another_seed_changes_all_that_is_drawn(case):
  _, other = case.start(schemes.random(), seed=4)
  drawn = [row for row in case.random if row['stddev'] > 0]
  assert len(drawn) > 2
  for row in drawn:
    assert row['sha256'] != digests(other)[row['path']], row['path']


def test_transfusion_is_equal_below_and_random_above(case):
  bodies = case.stages.names[:-1]
  last = bodies[len(bodies) // 2 - 1]
  scheme = compose.up_to(case.stages, last, schemes.transfer(case.source))
  values, report = case.start(scheme)
  for row in report:
    path, below = row['path'], row['stage'] in case.stages.up_to(last)
    assert row['scheme'] == ('transfer' if below else 'random')
    assert (values[path] == case.source[path]).all() == below, path
    # The draw of a weight does not depend on what the others do.
    assert (row['sha256'] == digests(case.random)[path]) == (not below), path


@pytest.mark.parametrize('bn', ['identity', 'mean_var', 'transfer'])
def test_bn_treatments(case, bn):
  treatment = {
    'identity': schemes.identity(),
    'mean_var': schemes.mean_var(case.source),
    'transfer': schemes.transfer(case.source),
  }[bn]
  first = case.stages.names[0]
  scheme = compose.by_role(schemes.shuffled(case.source), bn=treatment)
  scheme = compose.by_stage(case.stages, {first: scheme}, schemes.keep())
  _, report = case.start(scheme)
  found = {(r['role'], r['scheme']) for r in report if r['stage'] == first}
  assert {('kernel', 'shuffled'), ('bn', bn)} <= found
  assert found <= {('kernel', 'shuffled'), ('bias', 'shuffled'), ('bn', bn)}


def test_the_order_of_the_layers_does_not_matter():
  reports = []
  for swap in (False, True):
    model = init_cases.users_model(swap=swap)
    stages = init_cases.cached('users')[1]
    reports.append(init.apply(model, schemes.random(), stages, 5))
  one, two = reports
  assert [r['path'] for r in one] != [r['path'] for r in two]
  assert digests(one) == digests(two)


def test_a_sequential_models_own_name_is_no_part_of_a_path():
  reports = []
  for name in ('sequential', 'sequential_7'):
    layers = [keras.Input((8,)), keras.layers.Dense(3, name='head')]
    model = keras.Sequential(layers, name=name)
    stages = stages_lib.Stages.from_patterns(
      stages_lib.prefix_patterns(['head']), model
    )
    reports.append(init.apply(model, schemes.random(), stages, 0))
  assert reports[0] == reports[1]
  assert [r['path'] for r in reports[0]] == ['head/kernel', 'head/bias']


def test_he_normal_at_the_fan_in():
  model, stages = init_cases.cached('cbr_large_w')
  init.apply(model, schemes.random(), stages, 0)
  for weight in model.weights:
    if weight.path.endswith('kernel'):
      fan_in = np.prod(weight.shape[:-1])
      spread = np.array(weight).std() / (2 / fan_in) ** 0.5
      assert spread == pytest.approx(1, abs=0.04), weight.path


def test_log_normal_variances_keep_mean_and_variance():
  # So many that the heavy tail of the variance is sampled as well.
  inputs = keras.Input((100_000,))
  norm = keras.layers.BatchNormalization(name='bn')
  model = keras.Model(inputs, norm(inputs))
  stages = stages_lib.Stages.from_patterns(
    stages_lib.prefix_patterns(['bn']), model
  )
  source = init_cases.pretrained(model)
  init.apply(model, schemes.mean_var(source), stages, 0)
  ours = np.array(norm.moving_variance, float)
  theirs = source['bn/moving_variance'].astype(float)
  assert ours.min() > 0
  assert ours.mean() == pytest.approx(theirs.mean(), rel=0.01)
  assert ours.var() == pytest.approx(theirs.var(), rel=0.05)
  # Its logarithm is normal: no skew.
  logs = np.log(ours)
  skew = ((logs - logs.mean()) ** 3).mean() / logs.std() ** 3
  assert abs(skew) < 0.05

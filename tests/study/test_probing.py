"""The probes of a study: its first answer, before anything is trained."""

import pathlib

import numpy as np
import pandas as pd
import prepared_sets
import pytest

from transfusion_tf import metrics
from transfusion_tf import models
from transfusion_tf.study import plan as plan_lib
from transfusion_tf.study import probe_files
from transfusion_tf.study import probe_page
from transfusion_tf.study import probe_scores
from transfusion_tf.study import probing

_DRAWS = 2


def _plan(data_dir, **sources):
  return plan_lib.Plan(
    base=prepared_sets.experiment(data_dir, model__name='cbr_tiny'),
    models=('cbr_tiny',),
    starts=('random', 'transfer') if sources else ('random',),
    num_seeds=1,
    sources={m: {'small': path} for m, path in sources.items()},
    inputs=dict.fromkeys(sources, 'imagenet'),
  )


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
  path = tmp_path_factory.mktemp('weights') / 'small.keras'
  models.build('cbr_tiny', 5, (32, 32, 3)).save(path)
  return str(path)


@pytest.fixture(scope='module')
def probed(data_dir, weights, tmp_path_factory):
  """The folder of a study whose networks were probed."""
  root = tmp_path_factory.mktemp('study')
  plan = _plan(data_dir, cbr_tiny=weights)
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(probing, 'NUM_RANDOM', _DRAWS)
    probe_page.run(plan, str(root), 'retina', partial_report='report.html')
  return root


def test_probes_leave_a_table_and_the_first_report(probed):
  table = pd.read_csv(probed / probe_page.TABLE)
  stages = ['conv1', 'conv2', 'conv3', 'conv4']
  for kind in ('random', 'pretrained'):
    for probe in ('linear', 'knn'):
      rows = table[(table['features'] == kind) & (table['probe'] == probe)]
      assert list(rows['stage']) == stages
      assert (
        (rows['low'] <= rows['value']) & (rows['value'] <= rows['high'])
      ).all()
  random = table['features'] == 'random'
  assert table.loc[random, 'minus_random'].isna().all()
  assert table.loc[~random, 'minus_random'].notna().all()
  # The spots are red: even the first stage of random weights sees them.
  assert table.loc[random & (table['probe'] == 'linear'), 'value'].max() > 0.8
  page = (probed / 'report.html').read_text()
  assert 'Nothing is trained yet' in page
  assert 'pretrained features of CBR-Tiny' in page
  assert 'data:image/png' in page


def test_features_are_those_of_the_stages(probed):
  random = probe_files.read(str(probed))[0]
  for split, count in (('train', 96), ('validation', 33), ('test', 35)):
    features = random.features(split, 'conv1')
    assert features.shape == (count, 32)
    # After batch norm's statistics of these images and ReLU.
    assert features.min() >= 0
    assert 0.1 < features.mean() < 1


def test_what_is_there_is_not_computed_again(
  probed, data_dir, weights, monkeypatch
):
  files = sorted(probed.glob('probes/cbr_tiny/*.npz'))
  assert len(files) == _DRAWS + 1
  times = [file.stat().st_mtime_ns for file in files]
  monkeypatch.setattr(probing, 'NUM_RANDOM', _DRAWS)
  plan = _plan(data_dir, cbr_tiny=weights)
  files[0].write_bytes(b'damaged')
  assert not probing.run(plan, str(probed))
  assert sorted(probed.glob('probes/cbr_tiny/*.npz')) == files
  again = [file.stat().st_mtime_ns for file in files]
  assert [a == b for a, b in zip(times, again, strict=True)] == [
    'pretrained' not in file.name for file in files
  ]


def test_a_large_split_is_thinned_out(probed, data_dir, tmp_path, monkeypatch):
  monkeypatch.setattr(probing, 'NUM_RANDOM', 1)
  monkeypatch.setattr(probing, 'MOST_IMAGES', 40)
  assert not probing.run(_plan(data_dir), str(tmp_path))
  (thinned,) = probe_files.read(str(tmp_path))
  full = probe_files.read(str(probed))[0]
  # Every third of 96, all of 33 and 35.
  assert len(thinned.features('train', 'conv4')) == 32
  assert len(thinned.features('test', 'conv4')) == 35
  np.testing.assert_allclose(
    thinned.features('train', 'conv4'),
    full.features('train', 'conv4')[::3],
    rtol=1e-4,
    atol=1e-5,
  )
  assert not thinned.path.endswith(full.path[-20:])


def test_weights_that_cannot_be_read_are_a_note(
  data_dir, tmp_path, monkeypatch, capsys
):
  monkeypatch.setattr(probing, 'NUM_RANDOM', 1)
  plan = _plan(data_dir, cbr_tiny='nowhere.h5')
  probe_page.run(plan, str(tmp_path), 'retina')
  assert 'CBR-Tiny, nowhere.h5: ' in capsys.readouterr().out
  (section,) = probe_page.sections(str(tmp_path))
  assert section.figure is not None
  assert any('nowhere.h5' in text for text in section.paragraphs)


def test_a_study_without_probes_has_no_section(tmp_path):
  assert not list(probe_page.sections(str(tmp_path)))


def _features(*shown):
  """Pretrained features of stages that are better, worse or neither."""
  scores = [
    probe_scores.Score(
      f'conv{n}',
      4,
      '',
      0.8,
      0.7,
      0.9,
      probe_scores.statistics.Estimate(sign or 0.01, 0.0),
      0.01 if sign else 0.4,
    )
    for n, sign in enumerate(shown, 1)
  ]
  return probe_scores.Features('cbr_tiny', 'pretrained', 'auc', 0.5, scores, [])


@pytest.mark.parametrize(
  ('shown', 'text'),
  [
    ((1, 1, 1), 'better than random ones at every stage.'),
    ((1, 1, 0), 'better than random ones up to conv2.'),
    ((0, 1, 1), 'better than random ones at conv2 and conv3.'),
    ((0, 0, 0), 'not shown to be better than random ones at any stage.'),
    (
      (1, 0, -1),
      'better than random ones up to conv1; they are worse at conv3.',
    ),
  ],
)
def test_the_sentence_says_what_follows(shown, text):
  sentence = probe_scores.sentence(_features(*shown))
  assert sentence == f'The pretrained features of CBR-Tiny are {text}'


def _planted(seed, gain, patients=120, draws=5):
  """Probes of features of which a planted part tells the label."""
  rng = np.random.default_rng(seed)
  patient = np.repeat(np.arange(patients), 2)
  labels = np.repeat(rng.random(patients) < 0.4, 2)
  hard = np.repeat(rng.normal(size=patients), 2)

  def probed(strength, pretrained, seed):
    noise = hard + rng.normal(size=len(labels))
    columns = metrics.Auc(labels, strength * labels + noise).columns('auc')
    arrays = {'patient_id': patient.astype(str)}
    for probe in ('linear', 'knn'):
      arrays |= {f'settings/{probe}/conv1': 'C=1', 'widths/conv1': 4}
      arrays |= {f'scores/{probe}/conv1/{n}': v for n, v in columns.items()}
    found = probe_files.Probed(
      'cbr_tiny',
      probe_files.Weights(pretrained, seed=seed),
      'somewhere',
      metric='auc',
      stages=['conv1'],
    )
    found.__dict__['arrays'] = arrays
    return found

  # Draws of weights differ in what they tell.
  random = [probed(1 + 0.3 * rng.normal(), '', n) for n in range(draws)]
  (_, features), notes = probe_scores.collect(
    [*random, probed(1 + gain, 'file', 0)]
  )
  assert not notes
  return features.linear[0]


def test_a_planted_gain_is_seen():
  assert _planted(0, 3).is_better
  assert _planted(0, -3).is_worse


@pytest.mark.slow
def test_an_interval_of_a_difference_covers_it():
  """The true scores are those of many patients and draws."""
  truth = _planted(1, 0.5, patients=20_000, draws=300).minus_random.value
  held = []
  for seed in range(2_000):
    low, high = _planted(seed, 0.5).minus_random.interval()
    held.append(low <= truth <= high)
  print(f'pretrained less random features: {np.mean(held):.3f}')
  assert np.mean(held) >= 0.93


@pytest.mark.slow
def test_no_gain_is_rarely_a_verdict():
  judged = [_planted(seed, 0) for seed in range(2_000)]
  wrong = np.mean([each.is_better or each.is_worse for each in judged])
  print(f'better or worse without a difference: {wrong:.3f}')
  assert wrong <= 0.065


def test_nothing_refers_to_this_machine(probed):
  """A study's folder can be moved."""
  (index,) = pathlib.Path(probed, 'probes').glob('*.json')
  assert str(probed) not in index.read_text()

"""Another site's images: the difference, its interval, and the page."""

import io
import json
import re
import tarfile

import chain
import numpy as np
import pandas as pd
import paths
from PIL import Image
import pytest
import raw_sets
import shapes
from sklearn import metrics as sklearn_metrics

from data.image_table import layout
from data.image_table import other_site
from transfusion_tf import metrics
from transfusion_tf import run_folder
from transfusion_tf.input_pipeline import looks
from transfusion_tf.input_pipeline import stored_form
from transfusion_tf.input_pipeline import tfds_folder
from transfusion_tf.metrics import differences
from transfusion_tf.run import train_and_evaluate

_MAP = '--class_map=abnormal=malignant,normal=benign'


class Site:
  """A run on one table, and the raw images of another site."""

  def __init__(self, root):
    self.here, self.elsewhere = root / 'here', root / 'elsewhere'
    raw_sets.squares(self.here)
    raw_sets.squares(self.elsewhere, count=60)
    for path in (self.elsewhere / 'images').iterdir():
      with Image.open(path) as image:  # Darker, larger and JPEG inside.
        dark = image.resize((48, 48)).point(lambda value: value // 2)
      dark.save(path, 'JPEG', quality=95)
    chain.prepare(self.here, root / 'data', table='here')
    self.data_dir, self.run_dir = root / 'data', str(root / 'run')
    experiment = chain.experiment(root / 'data', data__findings=())
    train_and_evaluate.run(experiment, self.run_dir)


@pytest.fixture(scope='module')
def site(tmp_path_factory):
  return Site(tmp_path_factory.mktemp('site'))


@pytest.fixture(scope='module')
def validated(site, call, tmp_path_factory):
  """The raw table, scored from the command line: folder and output."""
  folder = tmp_path_factory.mktemp('validated') / 'out'
  found = call(
    'evaluate.py',
    f'--run_dir={site.run_dir}',
    f'--table={site.elsewhere}/elsewhere.csv',
    f'--images={site.elsewhere}',
    '--patient_column=patient',
    '--name=elsewhere',
    f'--output_dir={folder}',
    _MAP,
  )
  assert found.returncode == 0, found.stderr
  return folder, found.stdout


def _result(folder):
  (path,) = folder.glob('scores_elsewhere-*_test_best.csv')
  return path, json.loads(path.with_suffix('.json').read_text())


def test_all_images_of_the_table_are_scored_by_its_labels(site, validated):
  path, header = _result(validated[0])
  table = pd.read_csv(path)
  assert len(table) == 60
  given = pd.read_csv(site.elsewhere / 'elsewhere.csv').set_index('path')
  theirs = {'abnormal': 'malignant', 'normal': 'benign'}
  expected = given.loc[table['image_id'], 'label'].map(theirs)
  assert list(table['true:class']) == list(expected)
  auc = sklearn_metrics.roc_auc_score(
    table['true:class'] == 'malignant', table['malignant']
  )
  assert header['metrics']['auc']['value'] == pytest.approx(auc)
  assert header['names'] == theirs


def test_the_same_images_in_another_shape_have_the_same_scores(
  site, validated, call, tmp_path
):
  table = pd.read_csv(site.elsewhere / 'elsewhere.csv')
  with tarfile.open(tmp_path / 'elsewhere.tar', 'w') as archive:
    for row in table.to_dict('records'):
      picture = (site.elsewhere / row['path']).read_bytes()
      shapes.add(archive, row['path'], picture)
      cells = json.dumps({k: row[k] for k in ('patient', 'label')})
      name = row['path'].replace('.png', '.json')
      shapes.add(archive, name, cells.encode())
  found = call(
    'evaluate.py',
    *(f'--run_dir={site.run_dir}', f'--data={tmp_path / "elsewhere.tar"}'),
    *('--patient_column=patient', '--name=elsewhere', _MAP),
    f'--output_dir={tmp_path / "out"}',
  )
  assert found.returncode == 0, found.stderr
  scores = [_result(f)[0].read_text() for f in (validated[0], tmp_path / 'out')]
  assert scores[0] == scores[1]


def test_the_difference_is_that_of_two_aucs_of_scikit_learn(site, validated):
  path, header = _result(validated[0])
  here = pd.read_csv(path)
  home = pd.read_csv(f'{site.run_dir}/{run_folder.TEST_SCORES}')
  aucs = [
    sklearn_metrics.roc_auc_score(
      t['true:class'] == 'malignant', t['malignant']
    )
    for t in (here, home)
  ]
  found = header['differences']['auc']
  assert found['value'] == pytest.approx(aucs[0] - aucs[1])
  assert found['low'] < found['value'] < found['high']
  line = f'auc less that of the internal test {found["value"]:.4f}'
  assert line in validated[1]


def test_thresholds_are_those_of_the_validation_at_home(site, validated):
  path, header = _result(validated[0])
  stored = run_folder.decisions(
    site.run_dir, run_folder.result(site.run_dir)['judged_step']
  )
  thresholds = [p['threshold'] for p in header['operating_points']]
  assert thresholds == [p.threshold for p in stored.points]
  table = pd.read_csv(path)
  positive = table['true:class'] == 'malignant'
  for point in header['operating_points']:
    called = table['malignant'] >= point['threshold']
    sensitivity = called[positive].mean()
    assert point['sensitivity']['value'] == pytest.approx(sensitivity)


def test_the_page_says_all_of_it_and_loads_nothing(validated):
  path, header = _result(validated[0])
  page = path.with_suffix('.html').read_text()
  assert "default-src 'none'" in page
  assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
  difference = header['differences']['auc']
  assert f'{difference["value"]:+.3f}' in page
  text = ' '.join(re.sub(r'<[^>]*>', ' ', page).split())
  for part in (
    'abnormal malignant',
    'At the fixed thresholds',
    'JPEG 100%',
    'PNG 100%',
    'The typical brightness there is below',
    'data:image/png',
  ):
    assert part in text or part in page, part
  assert 'positive: malignant' in text


def test_the_page_of_its_pictures_shows_some_of_each_class(validated):
  (path,) = validated[0].glob('data/elsewhere/*/preflight.html')
  page = path.read_text()
  for name in ('abnormal', 'normal'):
    assert f'<h3>label {name}</h3>' in page
  assert page.count('src="data:image/jpeg') == 12


def test_the_same_as_a_prepared_set_has_the_same_scores(site, validated, call):
  folder, _ = validated
  found = call(
    'evaluate.py',
    f'--run_dir={site.run_dir}',
    f'--data_dir={folder}/data',
    '--dataset=elsewhere',
    _MAP,
  )
  assert found.returncode == 0, found.stderr
  again = re.search(r'scores: (\S+)', found.stdout)[1]
  assert pd.read_csv(again).equals(pd.read_csv(_result(folder)[0]))
  assert f'page: {again.removesuffix(".csv")}.html' in found.stdout


def test_other_names_are_refused_before_a_picture_is_read(site, call, tmp_path):
  found = call(
    'evaluate.py',
    f'--run_dir={site.run_dir}',
    f'--data={site.elsewhere}/elsewhere.csv',
    '--patient_column=patient',
    f'--output_dir={tmp_path / "out"}',
  )
  assert found.returncode == 2
  assert '--class_map=' in found.stderr
  assert len(found.stderr.strip().splitlines()) == 1  # And no progress.
  assert not (tmp_path / 'out').exists()


def test_raw_pictures_are_stored_as_those_of_the_training(site, tmp_path):
  """The internal test images, given raw, get the scores of the training."""
  home = pd.read_csv(f'{site.run_dir}/{run_folder.TEST_SCORES}')
  rows = pd.read_csv(site.here / 'here.csv').set_index('path')
  rows.loc[home['image_id']].reset_index().to_csv(
    tmp_path / 'same.csv', index=False
  )
  table = layout.find(
    tmp_path / 'same.csv', site.here, layout.Columns(patient='patient')
  )
  form = run_folder.stored_form(site.run_dir)
  builder = other_site.Builder(
    name='same', table=table, data_dir=str(tmp_path / 'data'), **form
  )
  builder.num_processes = 1
  checked = builder.check(site.here)
  checked.refuse(split='test')
  builder.build(checked)

  def files(data_dir, name):
    prepared = tfds_folder.open_dataset(str(data_dir), name)
    examples = map(prepared.parse, prepared.records('test'))
    return {e['image_id'].numpy(): e['image'].numpy() for e in examples}

  assert files(tmp_path / 'data', 'same') == files(site.data_dir, chain.NAME)


@pytest.mark.parametrize('kind', ['squeezed', 'fundus', 'own_size'])
def test_each_form_is_the_one_that_is_recorded(tmp_path, kind):
  raw_sets.table(tmp_path / 'raw', count=6)
  table = layout.find(
    tmp_path / 'raw' / 'labels.csv', tmp_path / 'raw', layout.Columns()
  )
  form = stored_form.StoredForm(kind, 0 if kind == 'own_size' else 24)
  builder = other_site.Builder(
    name='other',
    table=table,
    data_dir=str(tmp_path / 'data'),
    kind=form.kind,
    side=form.side,
  )
  builder.num_processes = 1
  builder.build(builder.check(tmp_path / 'raw'))
  prepared = tfds_folder.open_dataset(str(tmp_path / 'data'), 'other')
  assert stored_form.recorded(prepared) == form
  assert prepared.splits == ('test',)


def test_looks_are_those_of_pillow_and_numpy(site):
  prepared = tfds_folder.open_dataset(str(site.data_dir), chain.NAME)
  found = looks.of_split(prepared, 'test')
  (first, *_) = prepared.records('test')
  stored = prepared.parse(first)['image'].numpy()
  gray = np.asarray(Image.open(io.BytesIO(stored)).convert('L'), float)
  assert found.brightness[0] == pytest.approx(gray.mean(), abs=1.5)
  assert found.contrast[0] == pytest.approx(gray.std(), rel=0.05)
  assert found.aspect[0] == 1 and found.has_color[0] == 1
  assert not found.is_blank.any()


def test_raw_files_are_recorded_in_the_metadata(site):
  prepared = tfds_folder.open_dataset(str(site.data_dir), chain.NAME)
  facts = prepared.summary['raw_files']
  assert facts['kinds'] == {'PNG': 120}
  assert facts['shorter_side'] == [24, 24, 24]


@pytest.mark.parametrize(
  'flags, part',
  [
    (['--table={csv}'], 'say with --images'),
    (['--images={raw}'], 'say with --output_dir'),
    (['--images={raw}', '--dataset=x'], 'give one of them'),
    (['--data={raw}'], '--data is prepared first'),
    (['--data={raw}', '--table={csv}'], 'say with --images'),
    (['--fundus'], '--fundus is for preparing a set to train on'),
    (['--test_list=a.txt'], '--test_list is for preparing'),
    (['--patient_column=id'], '--patient_column is for raw images'),
  ],
)
def test_it_refuses_in_one_line(site, call, flags, part):
  given = [f.format(csv='a.csv', raw=site.elsewhere) for f in flags]
  found = call('evaluate.py', f'--run_dir={site.run_dir}', *given)
  assert found.returncode == 2
  assert part in found.stderr
  assert len(found.stderr.strip().splitlines()) == 1


def _sample(rng, patients, shift):
  """Two images a patient, whose scores go together; a third are positive."""
  labels = np.repeat(rng.random(patients) < 1 / 3, 2)
  own = np.repeat(rng.normal(size=patients), 2)
  scores = own + rng.normal(size=2 * patients) + shift * labels
  return metrics.Auc(labels.astype(float), scores), np.repeat(
    np.arange(patients), 2
  )


# Patients, shifts -> pairs that have an interval, how many of them it covers,
# and how many the symmetric one does: the table of docs/evaluation.md.
@pytest.mark.parametrize(
  'sizes, shifts, pairs, covers, symmetric_covers',
  [
    ((60, 200), (1.5, 2.5), 2000, 95.5, 92.2),
    ((40, 40), (2.0, 2.0), 2000, 97.7, 95.3),
    ((60, 60), (4.0, 5.0), 2000, 97.7, 88.9),
    ((25, 100), (4.0, 4.0), 1998, 98.9, 85.6),
  ],
)
def test_the_interval_covers_as_often_as_the_page_says(
  sizes, shifts, pairs, covers, symmetric_covers
):
  """Of two independent samples, near 1 too."""
  rng = np.random.default_rng(0)
  truths = [
    np.mean([_sample(rng, 4000, shift)[0].value() for _ in range(30)])
    for shift in shifts
  ]
  truth = truths[0] - truths[1]
  covered, symmetric = [], []
  for _ in range(2000):
    (a, of_a), (b, of_b) = (
      _sample(rng, n, s) for n, s in zip(sizes, shifts, strict=True)
    )
    found = differences.independent(a, of_a, b, of_b)
    if found['low'] is None:  # A class has one patient alone.
      continue
    covered.append(found['low'] <= truth <= found['high'])
    half = 1.96 * np.hypot(a.effects(of_a).stddev, b.effects(of_b).stddev)
    symmetric.append(abs(found['value'] - truth) <= half)
  assert len(covered) == pairs
  assert 100 * np.mean(covered) == pytest.approx(covers, abs=0.06)
  assert 100 * np.mean(symmetric) == pytest.approx(symmetric_covers, abs=0.06)
  page = (paths.ROOT / 'docs' / 'evaluation.md').read_text('utf-8')
  assert f'| {covers} % | {symmetric_covers} % |' in page

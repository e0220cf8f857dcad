"""Published weights, scored on a small stand-in for ImageNet."""

import dataclasses

import numpy as np
import pandas as pd
import prepared_sets
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import models
from transfusion_tf.init.sources import files
from transfusion_tf.init.sources import tf_slim
from transfusion_tf.input_pipeline import pipeline
from transfusion_tf.paper import run_study
from transfusion_tf.paper import runs
from transfusion_tf.paper import scales
from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper import tables
from transfusion_tf.run import build as run_lib
from transfusion_tf.run import train_and_evaluate

# ImageNet has no public test split.
_SPLITS = {'train': 8, 'validation': 24}


def _write_imagenet(data_dir):
  rng = np.random.default_rng(0)
  names = [f'n{number:08d}' for number in range(1000)]
  prepared_sets.write(
    data_dir,
    'imagenet2012',
    {'label': tfds.features.ClassLabel(names=names)},
    {
      split: [
        {
          'image': rng.integers(0, 255, (80, 90, 3)).astype(np.uint8),
          'image_id': f'{split}_{n}',
          'patient_id': f'{split}_{n}',
          'label': int(rng.integers(1000)),
        }
        for n in range(count)
      ]
      for split, count in _SPLITS.items()
    },
  )


def test_the_background_is_dropped():
  head = {'head/kernel': np.arange(2002.0).reshape(2, 1001)}
  head |= {'head/bias': np.arange(1001.0), 'conv/kernel': np.ones(3)}
  found = tf_slim.without_background(head)
  assert found['head/kernel'].shape == (2, 1000)
  assert found['head/kernel'][0, 0] == found['head/bias'][0] == 1
  assert found['conv/kernel'] is head['conv/kernel']
  again = tf_slim.without_background(found)
  assert (again['head/bias'] == found['head/bias']).all()


@pytest.mark.slow
def test_published_weights_are_scored_as_they_are(tmp_path):
  _write_imagenet(tmp_path / 'data')
  model = models.build('inception_v3', 1001, (75, 75, 3))
  arrays = {v.path: np.asarray(v) for v in model.weights}
  (plan,) = runs.pretrainings(scales.PAPER, 'inception_v3')
  (tmp_path / 'weights').mkdir()
  path = str(tmp_path / plan.source)
  small = {
    'data.image_size': 75,
    'train.batch_size': 4,
    'runtime.pictures': False,
  }
  experiment = config.override(
    plan.at(str(tmp_path), str(tmp_path / 'data')), small
  )
  run_dir = str(tmp_path / plan.key)

  files.save_npz(path, arrays, 'with the background', 'imagenet')
  with pytest.raises(errors.InputError, match=r'upto=head: .*1001'):
    train_and_evaluate.run(experiment, run_dir)
  arrays = tf_slim.without_background(arrays)
  files.save_npz(path, arrays, 'without', 'imagenet')
  result = train_and_evaluate.run(experiment, run_dir)
  assert (result['judged_step'], result['last_step']) == (0, 0)
  assert result['judged_split'] == 'validation'

  run_study.Runner(
    scales.PAPER, str(tmp_path), str(tmp_path / 'data'), prune=False
  ).keep(plan.key)
  with np.load(f'{run_dir}/conv1.npz') as filters:
    assert (filters['before'] == filters['after']).all()

  run = run_lib.load_run(run_dir)
  assert dataclasses.replace(run.experiment, runtime=None) == (
    dataclasses.replace(experiment, runtime=None)
  )
  (batch,) = pipeline.evaluation(run.source, 'validation', 24)
  logits = model(run.prepare_evaluation(batch['image']), training=False)
  with_background = tf.nn.softmax(logits).numpy()[:, 1:]
  scores = pd.read_csv(f'{run_dir}/test_scores.csv')
  found = scores[list(run.task.names)].to_numpy()
  ratio = found / with_background
  np.testing.assert_allclose(ratio / ratio[:, :1], 1, rtol=1e-3)
  study = study_lib.Study(str(tmp_path), scales.PAPER)
  cell = tables.table1(study).rows[1]['ImageNet top-5']
  assert cell.text() == f'{100 * result["test"]["top5"]["value"]:.1f} (1)'

"""Configs: written once, saved beside the result, compared field by field."""

import dataclasses
import json

import pytest

from transfusion_tf import config
from transfusion_tf import errors


@pytest.mark.parametrize('name', config.RECIPES)
def test_saved_recipes_load_equal(tmp_path, name):
  path = tmp_path / 'config.json'
  config.save(config.RECIPES[name], path)
  assert config.load(path) == config.RECIPES[name]


def test_the_papers_numbers():
  retina, chexpert = config.RETINA, config.CHEXPERT
  assert retina.data.image_size == 587
  assert (retina.optimizer.name, retina.optimizer.learning_rate) == (
    'adam',
    0.001,
  )
  assert retina.train.batch_size == 8
  assert retina.data.augment.flip_left_right
  assert retina.data.augment.flip_up_down
  assert chexpert.data.image_size == 224
  assert (chexpert.optimizer.name, chexpert.optimizer.momentum) == ('sgd', 0.9)
  assert chexpert.optimizer.learning_rate == pytest.approx(0.0125)
  assert chexpert.optimizer.warmup_epochs == 5
  assert chexpert.optimizer.decay_epochs == (30, 60, 90)
  assert chexpert.optimizer.decay_factor == 0.1
  assert chexpert.train.batch_size == 32
  assert not chexpert.data.augment.flip_left_right
  assert not chexpert.data.augment.flip_up_down
  assert len(config.CHEXPERT_FINDINGS) == 5


def test_override_and_differences():
  changed = config.override(config.RETINA, {'data.subset': 5, 'seed': 3})
  assert config.differences(config.RETINA, changed) == [
    'data.subset: 0 -> 5',
    'seed: 0 -> 3',
  ]
  moved = config.override(changed, {'runtime.data_dir': '/elsewhere'})
  assert not config.differences(changed, moved)


def test_flatten_is_the_inverse_of_override():
  flat = config.flatten(config.CHEXPERT)
  flat = {k: v for k, v in flat.items() if k != 'data.augment'}
  assert config.override(config.RETINA, flat) == dataclasses.replace(
    config.CHEXPERT,
    data=dataclasses.replace(
      config.CHEXPERT.data, augment=config.RETINA.data.augment
    ),
  )


@pytest.mark.parametrize(
  'text',
  ['', '{', '[]', '{"seed": 1}', 'null'],
  ids=['empty', 'cut', 'list', 'fields missing', 'null'],
)
def test_what_is_no_experiment_is_refused_by_name(tmp_path, text):
  path = tmp_path / 'config.json'
  path.write_text(text)
  with pytest.raises(errors.InputError, match=r'config\.json'):
    config.load(path)


def test_an_unknown_field_is_refused(tmp_path):
  path = tmp_path / 'config.json'
  saved = dataclasses.asdict(config.RETINA) | {'color': 'blue'}
  path.write_text(json.dumps(saved))
  with pytest.raises(errors.InputError, match='color'):
    config.load(path)

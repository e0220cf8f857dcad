"""The recipe of a table, fitted to the number of its images."""

import prepared_sets
import pytest

from transfusion_tf import config
from transfusion_tf import flagfile
from transfusion_tf.run import table_recipe


@pytest.mark.parametrize(
  ('num_images', 'momentum', 'steps', 'eval_every'),
  [
    (20, 0.9, 500, 16),  # No epoch has a step.
    (100, 0.9, 500, 16),
    (1_000, 0.9032, 930, 31),
    (3_200, 0.97, 3_000, 100),
    (100_000, 0.99, 93_750, 3_125),
  ],
)
def test_it_fits_the_number_of_images(num_images, momentum, steps, eval_every):
  found = table_recipe.fit('image_table', num_images, {})
  assert found.model.bn_momentum == momentum
  assert found.train.train_steps == steps
  assert found.train.eval_every == eval_every
  assert found.train.min_steps == steps // 3
  # After an epoch, or an evaluation, nothing is left of the start.
  assert momentum ** max(eval_every, num_images // 32) < 0.2


def test_what_is_given_is_taken_as_it_is():
  given = {
    'train.train_steps': 60,
    'train.batch_size': 8,
    'model.bn_momentum': 0.5,
  }
  found = table_recipe.fit('image_table', 400, given)
  assert found == config.override(
    config.IMAGE_TABLE,
    given | {'train.eval_every': 50, 'train.min_steps': 20},
  )


def test_a_subset_counts():
  few = table_recipe.fit('image_table', 10_000, {'data.subset': 1_000})
  assert few.train == table_recipe.fit('image_table', 1_000, {}).train


@pytest.mark.parametrize('num_images', [20, 100, 1_000, 5_000])
def test_a_run_on_a_subset_is_as_one_of_so_few_images(num_images):
  whole = table_recipe.fit('image_table', 10_000, {})
  found = table_recipe.on_subset(whole, num_images, 10_000, 'image_table')
  few = table_recipe.fit('image_table', num_images, {})
  assert found.data.subset == num_images
  assert found.model == few.model
  assert found.train.train_steps == few.train.train_steps
  assert abs(found.train.eval_every - few.train.eval_every) <= 1
  assert abs(found.train.min_steps - few.train.min_steps) <= 1


def test_a_short_study_has_short_runs_on_subsets():
  given = {'train.train_steps': 60, 'train.eval_every': 30}
  whole = table_recipe.fit('image_table', 640, given)
  found = table_recipe.on_subset(whole, 64, 640, 'image_table')
  assert (found.train.train_steps, found.train.eval_every) == (60, 30)


@pytest.mark.parametrize('recipe', ['retina', 'chexpert', 'demo_retina'])
def test_published_recipes_stay(recipe):
  assert table_recipe.fit(recipe, 50, {}) == config.RECIPES[recipe]


def test_a_table_is_trained_by_its_recipe_and_goes_on(call, tmp_path):
  """Also where a later version fits something else, as of no fitting at all."""
  prepared_sets.write_spots(tmp_path, 'own_images', train=24)
  flags = (
    '--dataset=own_images',
    f'--data_dir={tmp_path}',
    '--image_size=32',
    '--train_steps=4',
    '--eval_every=2',
    '--model=tiny_nets:net',
    '--nopictures',
  )
  run_dir = tmp_path / 'run'
  done = call('train.py', *flags, f'--run_dir={run_dir}')
  assert done.returncode == 0, done.stderr
  saved = config.load(run_dir / 'config.json')
  assert saved.train.batch_size == config.IMAGE_TABLE.train.batch_size
  assert saved.data.augment.contrast == config.MILD_CONTRAST
  assert saved.model.bn_momentum == 0.9
  text = flagfile.file(saved, str(run_dir))['train.flags']
  assert '--bn_momentum=0.9\n' in text
  changes = {'train.min_steps': 3, 'train.patience_stderr': 0.0}
  config.save(config.override(saved, changes), run_dir / 'config.json')
  (run_dir / 'result.json').unlink()
  again = call('train.py', *flags, f'--run_dir={run_dir}')
  assert again.returncode == 0, again.stderr

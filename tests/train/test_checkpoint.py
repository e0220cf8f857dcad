"""Checkpoints: all of a run's state, damaged ones, weights gone astray."""

import hostile_checkpoint
import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny_training

from transfusion_tf import errors
from transfusion_tf.models import graph
from transfusion_tf.train import checkpoint


def _assert_equal(values, others):
  for value, other in zip(values, others, strict=True):
    np.testing.assert_array_equal(value, other)


def test_a_restored_run_goes_on_with_the_same_bits(tmp_path):
  """Dropout's random state, Adam's slots and the counters included."""
  parts = tiny_training.Parts(tmp_path)
  parts.train(3)
  parts.checkpoints.save()
  saved = parts.values()
  parts.train(4)
  other = tiny_training.Parts(tmp_path, seed=1)
  assert other.checkpoints.restore_newest() == 3
  _assert_equal(other.values(), saved)
  other.train(4)
  _assert_equal(other.values(), parts.values())


def test_a_snapshot_is_the_checkpoint_of_its_step(tmp_path):
  parts = tiny_training.Parts(tmp_path)
  for steps in (2, 1):
    parts.train(steps)
    parts.checkpoints.snapshot()
  taken = parts.values()
  parts.train(4)
  assert parts.checkpoints.steps() == []
  parts.checkpoints.save()
  assert parts.checkpoints.steps() == [3, 7]
  parts.checkpoints.prune({3})
  other = tiny_training.Parts(tmp_path, seed=1)
  assert other.checkpoints.restore_newest() == 3
  _assert_equal(other.values(), taken)


def _save_as(parts, step):
  parts.train_step.counters['step'].assign(step)
  parts.model.get_layer('head').bias.assign([step, -step])
  parts.checkpoints.save()


def _cut(data, index):
  data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])


def _flip_a_bit(data, index):
  content = bytearray(data.read_bytes())
  content[len(content) // 2] ^= 1
  data.write_bytes(content)


def _flip_a_bit_of_the_index(data, index):
  _flip_a_bit(index, data)


def _promise_more(data, index):
  assert hostile_checkpoint.enlarge(index, 5, 127)


@pytest.mark.parametrize(
  'damage',
  [
    _cut,
    _promise_more,
    _flip_a_bit,
    _flip_a_bit_of_the_index,
    lambda data, index: data.unlink(),
    lambda data, index: index.unlink(),
    lambda data, index: data.write_bytes(b''),
    lambda data, index: index.write_bytes(b''),
  ],
  ids='cut more bit index-bit no-data no-index empty-data empty-index'.split(),
)
def test_the_last_good_one_is_found(tmp_path, damage, capsys):
  parts = tiny_training.Parts(tmp_path)
  for step in (2, 4, 6):
    _save_as(parts, step)
    if step == 4:
      good = parts.values()
  newest = tmp_path / checkpoint.folder(6)
  (data,) = newest.glob('*.data-*')
  (index,) = newest.glob('*.index')
  damage(data, index)
  other = tiny_training.Parts(tmp_path, seed=1)
  assert other.checkpoints.restore_newest() == 4
  _assert_equal(other.values(), good)
  assert 'step 6 is damaged' in capsys.readouterr().out
  # Its place is free again.
  assert other.checkpoints.steps() == [2, 4]
  _save_as(other, 6)
  assert parts.checkpoints.restore_newest() == 6


def test_when_none_can_be_read_the_run_stops_and_keeps_them(tmp_path):
  parts = tiny_training.Parts(tmp_path)
  parts.checkpoints.save()
  for file in (tmp_path / checkpoint.folder(0)).glob('*.data-*'):
    file.write_bytes(b'')
  with pytest.raises(errors.RunError, match='no checkpoint can be read'):
    parts.checkpoints.restore_newest()
  assert parts.checkpoints.steps() == [0]


def test_no_checkpoints_is_none(tmp_path):
  assert tiny_training.Parts(tmp_path).checkpoints.restore_newest() is None


def test_weights_that_are_no_numbers_are_not_saved(tmp_path):
  parts = tiny_training.Parts(tmp_path)
  parts.checkpoints.save()
  parts.train(1)
  parts.model.get_layer('head').bias.assign([0.0, np.nan])
  with pytest.raises(errors.RunError, match='not finite numbers after step 1'):
    parts.checkpoints.save()
  assert parts.checkpoints.steps() == [0]


def test_what_was_left_half_written_is_written_anew(tmp_path):
  parts = tiny_training.Parts(tmp_path)
  partial = tmp_path / f'{checkpoint.folder(7)}.0123abcd.partial'
  partial.mkdir()
  (partial / 'checkpoint.index').write_bytes(b'half')
  assert parts.checkpoints.restore_newest() is None
  parts.checkpoints.save()
  assert parts.checkpoints.restore_newest() == 0
  assert not partial.exists()


def test_slots_of_one_name_are_kept_apart(tmp_path):
  """Keras names those of `stem/bn` and `stem_bn` the same."""

  class Stem(keras.layers.Layer):
    def build(self, shape):
      self.bn = keras.layers.BatchNormalization(name='bn')
      self.bn.build(shape)

    def call(self, x):
      return self.bn(x)

  def make():
    layers = [
      keras.Input([3]),
      Stem(name='stem'),
      keras.layers.BatchNormalization(name='stem_bn'),
    ]
    model = keras.Sequential(layers, name='net')
    optimizer = keras.optimizers.Adam(name='adam')
    optimizer.build(model.trainable_variables)
    step = tf.Variable(0, dtype=tf.int64)
    checkpoints = checkpoint.Checkpoints(
      str(tmp_path), model, optimizer, {'step': step}
    )
    return optimizer, checkpoints

  saved, checkpoints = make()
  names = [v.path for v in saved.variables]
  assert len(set(names)) < len(names)
  for number, variable in enumerate(saved.variables):
    variable.assign(tf.fill(variable.shape, tf.cast(number, variable.dtype)))
  checkpoints.save()
  restored, checkpoints = make()
  assert checkpoints.restore_newest() == 0
  for one, two in zip(saved.variables, restored.variables, strict=True):
    np.testing.assert_array_equal(one, two)


def test_read_names_the_steps_there_are(tmp_path):
  parts = tiny_training.Parts(tmp_path)
  parts.checkpoints.save()
  weights = checkpoint.read(str(tmp_path), 0)
  assert set(weights) == {
    weight.path for weight in graph.Graph(parts.model).weights
  }
  with pytest.raises(errors.InputError, match='step 7; there are: 0'):
    checkpoint.read(str(tmp_path), 7)

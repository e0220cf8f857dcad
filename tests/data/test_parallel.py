"""Mapping on many processes: order, errors, and no more work than is used."""

import functools
import os
import time

import pytest

from data import parallel
from data import raw_dataset
from transfusion_tf import errors


def _square(number):
  time.sleep(0.001 * (number % 3))
  return number * number


def _refuse(number):
  if number == 50:
    raise raw_dataset.InvalidRecordError('not an image', '50.png is empty')
  return number


def _die(number):
  if number == 50:
    os._exit(1)


def _touch(number, folder):
  (folder / str(number)).touch()


@pytest.mark.parametrize('num_processes', [1, 2])
def test_results_are_in_order(num_processes):
  numbers = range(300)
  results = parallel.ordered_map(_square, numbers, num_processes)
  assert list(results) == [number * number for number in numbers]
  assert list(parallel.ordered_map(_square, [], num_processes)) == []


@pytest.mark.parametrize('num_processes', [1, 2])
def test_an_error_arrives_whole(num_processes):
  with pytest.raises(raw_dataset.InvalidRecordError, match='50') as caught:
    list(parallel.ordered_map(_refuse, range(100), num_processes))
  assert caught.value.kind == 'not an image'


def test_a_process_that_dies_is_a_line_with_advice():
  with pytest.raises(errors.InputError, match='fewer --num_processes'):
    list(parallel.ordered_map(_die, range(100), 2))
  assert list(parallel.ordered_map(_square, range(20), 2))[-1] == 361


def test_a_slow_consumer_holds_the_processes_back(tmp_path):
  touch = functools.partial(_touch, folder=tmp_path)
  results = parallel.ordered_map(touch, range(1000), 2)
  next(results)
  time.sleep(1)
  assert (
    0 < len(list(tmp_path.iterdir())) <= 2 * parallel._AHEAD * parallel._CHUNK
  )
  results.close()
  time.sleep(0.5)
  assert len(list(tmp_path.iterdir())) <= 2 * parallel._AHEAD * parallel._CHUNK

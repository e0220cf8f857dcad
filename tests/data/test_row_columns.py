"""Rows of files are columns: what is put in comes out, and takes few bytes."""

import pickle
import tracemalloc

import numpy as np
import pytest
import shapes

from data import texts
from data.image_table import layout
from data.image_table import medmnist
from data.image_table import row_columns

_TEXTS = ['', 'a', 'Ärzte', '\udcff', 'x' * 300, '\0', 'a']


def test_texts_are_a_list():
  held = texts.Texts(_TEXTS)
  assert list(held) == _TEXTS and len(held) == len(_TEXTS)
  assert [held[n] for n in range(-7, 7)] == _TEXTS * 2
  assert held[1:-2] == _TEXTS[1:-2] and held[::-2] == _TEXTS[::-2]
  for number in (7, -8):
    with pytest.raises(IndexError):
      held[number]
  assert list(pickle.loads(pickle.dumps(held))) == _TEXTS


def test_places_are_a_list():
  expected = ['/b.tar::3+4', '/a.tar::0+9', '/b.tar::7+1', '/c::d.npz::x[3]']
  held = row_columns.Places()
  for place in expected:
    held.append(place)
  assert list(held) == expected and held[1:] == expected[1:]
  assert [held[n] for n in range(4)] == expected


def test_cells_that_rows_lack_are_blank():
  rows = row_columns.RowColumns()
  rows.append('1', 'f::0+1', {'a': 'x'})
  rows.extend(['2', '3'], ['f::1+1', 'f::2+1'], {'b': ['y', 'z']})
  rows.append('4', 'f::3+1', {'a': 'x', 'c': 'w'})
  table = rows.table()
  assert table.to_dict('list') == {
    'a': ['x', '', '', 'x'],
    'b': ['', 'y', 'z', ''],
    'c': ['', '', '', 'w'],
  }
  assert list(rows.ids) == list('1234') and len(rows.places) == 4


def test_a_row_takes_few_bytes(tmp_path):
  count = 20_000
  labels = (np.arange(count) % 2).astype(np.uint8)[:, None]
  path = tmp_path / 'pneumoniamnist.npz'
  np.savez(
    path, train_images=np.zeros((count, 2, 2), np.uint8), train_labels=labels
  )
  _read(shapes.medmnist(tmp_path / 'first', shapes.rows(4, 4, 4)))  # Imports.
  tracemalloc.start()
  found = _read(path)
  taken, _ = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  assert len(found.dataset.records) == count
  assert taken < 120 * count  # A record alone takes some hundred.


def _read(path):
  return layout.read(medmnist.read(str(path), layout.Columns()))

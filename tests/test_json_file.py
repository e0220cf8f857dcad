"""What a JSON file has to be, and the line that says what it is not."""

import dataclasses
from typing import NotRequired, TypedDict

import pytest

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import json_file


class _Row(TypedDict):
  step: int
  loss: float | None
  notes: NotRequired[dict[str, list[str]]]


@dataclasses.dataclass(frozen=True)
class _Point:
  at: tuple[float, float]
  names: tuple[str, ...] = ()
  row: bool = False


@pytest.mark.parametrize(
  ('text', 'schema', 'value'),
  [
    ('{"step": 1, "loss": 2, "more": 3}', _Row, None),
    ('{"step": 1, "loss": null, "notes": {"a": ["b"]}}', _Row, None),
    ('{"at": [1, 2.5], "names": ["a"]}', _Point, _Point((1, 2.5), ('a',))),
    ('[[1, "a"], null]', list[tuple[int, str] | None], [(1, 'a'), None]),
    ('"\\ud83d\\ude00"', str, '\N{GRINNING FACE}'),
  ],
)
def test_what_fits_is_returned(tmp_path, text, schema, value):
  path = tmp_path / 'file.json'
  path.write_text(text)
  found = json_file.read(path, schema, '')
  assert found == value if value else found['step'] == 1


@pytest.mark.parametrize(
  ('text', 'schema', 'problem'),
  [
    ('', object, 'empty'),
    ('{"a": 1', object, 'truncated'),
    ('\xff', object, 'malformed'),
    ('[' * 100_000, object, 'nested too deeply'),
    ('[1e400]', object, 'out of range'),
    ('[NaN]', object, 'invalid character'),
    ('9223372036854775808', object, 'more than 64 bits'),
    ('9' * 9999, object, 'out of range'),
    ('"\\ud800"', object, 'truncated'),
    ('"\xff"', object, 'no UTF-8'),
    ('{"loss": 1}', _Row, 'missing required field `step`'),
    (
      '{"step": true, "loss": 1}',
      _Row,
      r'Expected `int`, got `bool` - at `\$\.step`',
    ),
    ('{"step": 1, "loss": "1"}', _Row, r'Expected `float \| null`, got `str`'),
    (
      '{"step": 1, "loss": 1, "notes": {"a": [1]}}',
      _Row,
      r'Expected `str`, got `int` - at `\$\.notes',
    ),
    ('[]', _Row, 'Expected `object`, got `array`'),
    ('{"at": [1]}', _Point, '`array` of length 2'),
    ('{"at": [1, 2], "names": "ab"}', _Point, 'Expected `array`, got `str`'),
    ('{"at": [1, 2], "x": 1}', _Point, 'unknown x'),
    ('{"at": [1, 2], "row": 1}', _Point, 'Expected `bool`, got `int`'),
  ],
)
def test_what_does_not_is_one_line(tmp_path, text, schema, problem):
  path = tmp_path / 'file.json'
  path.write_bytes(text.encode('latin-1'))
  with pytest.raises(errors.DamagedFileError, match=problem) as caught:
    json_file.read(path, schema, 'restore it')
  line = str(caught.value)
  assert line.startswith(f'{path}: damaged: ') and line.endswith('; restore it')
  assert '\n' not in line and len(line) < 300


def test_a_folder_is_damage_and_nothing_is_none(tmp_path):
  with pytest.raises(errors.DamagedFileError, match='Is a directory'):
    json_file.read(tmp_path, object, '')
  for path in (tmp_path / 'none', tmp_path / 'none' / 'below'):
    with pytest.raises(FileNotFoundError):
      json_file.read(path, object, '')
  (tmp_path / 'file').touch()
  with pytest.raises(FileNotFoundError):
    json_file.read(tmp_path / 'file' / 'below', object, '')


@pytest.mark.parametrize(
  ('old', 'new'),
  [
    ('"batch_size": 16', '"batch_size": 0'),
    ('"seed": 0', '"seed": 4294967295'),
    ('"momentum": 0.9', '"momentum": -0.9'),
    ('"crop": 0.9', '"crop": 1e400'),
    ('"dataset": "retina"', '"dataset": "a\\nb"'),
  ],
)
def test_a_config_out_of_its_ranges_is_damaged(tmp_path, old, new):
  path = tmp_path / 'config.json'
  config.save(config.DEMO_RETINA, path)
  assert config.load(path) == config.DEMO_RETINA
  assert old in path.read_text()
  path.write_text(path.read_text().replace(old, new))
  with pytest.raises(errors.DamagedFileError, match=r'config\.json: damaged'):
    config.load(path)


def test_all_recipes_are_in_the_ranges_of_their_fields():
  for recipe in config.RECIPES.values():
    config.check(recipe)

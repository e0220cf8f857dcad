"""Files of runs and studies as disks, editors and strangers change them."""

from collections.abc import Iterator
import contextlib
import json
import os
import pathlib
import random
import shutil

_TEXTS = (
  *('null', 'true', '-1', '0', '1', '1e400', '-1e400', '1e308', '1e-320'),
  *('NaN', 'Infinity', '-Infinity', '9223372036854775808', '4294967296'),
  *(
    '9' * 5000,
    '1' + '0' * 400,
    '""',
    '"\\ud800"',
    '"1"',
    '"NaN"',
    '"\\u0000"',
  ),
  *('"../../x"', '"/dev/zero"', '"<script>"', '"os:abort"', '[]', '{}'),
  *('[[]]', '[1, 2]', '{"": 1}', '[null]', f'"{"a" * 3000}"', '2.5'),
)
_CELLS = ('', 'nan', 'inf', '-inf', '1e400', 'x', '"', '-1', '9' * 400, '\x00')
_LINES = ('', ',', ',,,,,,,,', '"', 'image_id', '\x00\x00', '[]', '{}', 'x')
_MARK = '\x00here\x00'


def harmed(content: bytes, rng: random.Random, name: str) -> bytes:
  """The content of a file after one of many accidents."""
  kinds = [_cut, _cut, _emptied, _flipped, _flipped, _bad_text, _deep, _lines]
  if name.endswith('.csv'):
    kinds += [_cells] * 6
  if name.endswith(('.json', '.jsonl')):
    kinds += [_values] * 12
  return rng.choice(kinds)(content, rng)


def _cut(content, rng):
  return content[: rng.randrange(len(content) + 1)]


def _emptied(content, rng):
  return rng.choice((b'', b' ', b'\n', bytes(len(content)), b'null', b'[]'))


def _flipped(content, rng):
  changed = bytearray(content)
  for _ in range(rng.choice((1, 1, 2, 5))):
    if changed:
      changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
  return bytes(changed)


def _bad_text(content, rng):
  at = rng.randrange(len(content) + 1)
  odd = rng.choice(
    (b'\xff', b'\xc3', b'\xed\xa0\x80', b'\xef\xbb\xbf', b'\x00')
  )
  return content[:at] + odd + content[at:]


def _deep(content, rng):
  nested = rng.choice((b'[', b'{"a":')) * 100_000
  at = rng.choice((0, content.find(b':') + 1))
  return content[:at] + nested + content[at:]


def _lines(content, rng):
  lines = content.split(b'\n')
  at = rng.randrange(len(lines))
  kind = rng.randrange(3)
  if kind == 0:
    del lines[at]
  elif kind == 1:
    lines.insert(at, rng.choice(lines))
  else:
    lines[at] = rng.choice(_LINES).encode()
  return b'\n'.join(lines)


def _cells(content, rng):
  lines = content.decode().split('\n')
  at = rng.choice((0, rng.randrange(len(lines))))
  cells = lines[at].split(',')
  column = rng.randrange(len(cells))
  if rng.random() < 0.3:
    del cells[column]
  else:
    cells[column] = rng.choice(_CELLS)
  lines[at] = ','.join(cells)
  return '\n'.join(lines).encode()


def _values(content, rng):
  """One value of the JSON changed, deleted or under another name."""
  text = content.decode()
  rows = [json.loads(x) for x in text.splitlines()] if _is_rows(text) else []
  value = rng.choice(rows) if rows else json.loads(text)
  places = list(_places(value))
  if not places:
    return rng.choice(_TEXTS).encode()
  holder, key = rng.choice(places)
  kind = rng.randrange(8)
  if kind == 0:
    del holder[key]
  elif kind == 1 and isinstance(holder, dict):
    holder[rng.choice(('', 'x', key + 'x'))] = holder.pop(key)
  elif kind == 2:
    other, name = rng.choice(places)
    holder[key] = json.loads(json.dumps(other[name]))
  else:
    holder[key] = _MARK
  if rows:
    changed = '\n'.join(map(json.dumps, rows)) + '\n'
  else:
    changed = json.dumps(value)
  return changed.replace(json.dumps(_MARK), rng.choice(_TEXTS)).encode()


def _is_rows(text):
  try:
    json.loads(text)
  except ValueError:
    return True
  return False


def _places(value) -> Iterator[tuple]:
  keys = range(len(value)) if isinstance(value, list) else list(value)
  for key in keys:
    yield value, key
    if isinstance(value[key], list | dict):
      yield from _places(value[key])


@contextlib.contextmanager
def harm(path: pathlib.Path, rng: random.Random) -> Iterator[str]:
  """Harm a file inside, and restore it; yields what was done, for a message."""
  before = path.read_bytes()
  kind = rng.choice(('content',) * 12 + ('folder', 'loop', 'gone', 'pipe'))
  path.unlink()
  if kind == 'folder':
    path.mkdir()
  elif kind == 'loop':
    path.symlink_to(path.name)
  elif kind == 'pipe':
    os.mkfifo(path)
  elif kind == 'content':
    content = harmed(before, rng, path.name)
    path.write_bytes(content)
    kind = repr(content[:300])
  try:
    yield f'{path.name}: {kind}'
  finally:
    if path.is_dir() and not path.is_symlink():
      shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.write_bytes(before)

"""The list of the pictures to be scored, on disk: it may be of any length."""

from collections.abc import Iterable, Iterator, Sequence
import contextlib
import hashlib
import os
import sqlite3
from typing import NamedTuple

from transfusion_tf import storage

OK = 'ok'


class Picture(NamedTuple):
  """One picture to be scored.

  Attributes:
    id: What it is called in the list; unique.
    path: Where its file is.
    status: What is wrong with it already; empty if nothing is known to be.
    reason: The same in more words.
  """

  id: str
  path: str = ''
  status: str = ''
  reason: str = ''


class Prepared(NamedTuple):
  """A picture as a prepared data set would store it.

  Attributes:
    encoded: Its bytes; empty if it is unusable.
    reason: Why it is; or a note on it.
    status: `OK`, or what is wrong with it.
  """

  encoded: bytes
  reason: str = ''
  status: str = OK


class Pictures(Sequence[Picture]):
  """A sequence of pictures in a file.

  Attributes:
    digest: A hash of all of them, in order.
    num_repeated: How often an id came again: each is listed once.
  """

  def __init__(self, path: str, given: Iterable[Picture], in_order: bool):
    """Write the pictures to a new file.

    Args:
      path: The file.
      given: The pictures.
      in_order: If false, they are sorted by their ids.
    """
    # Its reader is the thread that spreads pictures over processes.
    self._db = sqlite3.connect(path, check_same_thread=False)
    # Nobody else reads it, and it is made anew if this process dies.
    self._db.execute('PRAGMA journal_mode = OFF')
    self._db.execute('PRAGMA synchronous = OFF')
    self._db.execute(
      'CREATE TABLE given (id BLOB UNIQUE, path BLOB, status, reason)'
    )
    total = 0
    with self._db:
      for picture in given:
        total += 1
        self._db.execute(
          'INSERT OR IGNORE INTO given VALUES (?, ?, ?, ?)',
          (_bytes(picture.id), _bytes(picture.path), *picture[2:]),
        )
      # Numbers without gaps, so that any picture is found at once.
      self._db.execute(
        'CREATE TABLE pictures AS SELECT * FROM given ORDER BY '
        + ('rowid' if in_order else 'id')
      )
      self._db.execute('DROP TABLE given')
    ((count,),) = self._db.execute('SELECT count(*) FROM pictures')
    self._count: int = count
    self.num_repeated = total - count
    self.digest = self._digest()

  @classmethod
  @contextlib.contextmanager
  def kept(
    cls, given: Iterable[Picture], in_order: bool
  ) -> Iterator['Pictures']:
    """Yield the pictures, in a file that is deleted at the end."""
    with storage.local_folder() as folder:
      pictures = cls(os.path.join(folder, 'pictures'), given, in_order)
      with contextlib.closing(pictures._db):
        yield pictures

  def __len__(self) -> int:
    return self._count

  def __getitem__(self, place):
    if not isinstance(place, slice):
      (picture,) = self[place : place + 1]
      return picture
    start, stop, _ = place.indices(self._count)
    rows = self._db.execute(
      'SELECT * FROM pictures WHERE rowid > ? AND rowid <= ? ORDER BY rowid',
      (start, stop),
    )
    return [
      Picture(_text(name), _text(path), status, reason)
      for name, path, status, reason in rows
    ]

  def _digest(self):
    digest = hashlib.sha256()
    for name, status in self._db.execute('SELECT id, status FROM pictures'):
      digest.update(b'%d:%s%s\n' % (len(name), name, status.encode()))
    return digest.hexdigest()


def _bytes(text):
  """Return a path as bytes: a file's name may be no text."""
  return text.encode('utf-8', 'surrogateescape')


def _text(encoded):
  return encoded.decode('utf-8', 'surrogateescape')

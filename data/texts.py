"""Many texts in one buffer: a few bytes each, beside their letters."""

import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

_CODING = 'utf-8', 'surrogatepass'  # Of any text, also of a file's odd name.


class Texts(Sequence[str]):
  """A list of texts that grows at its end; a text is made when asked for."""

  def __init__(self, texts: Iterable[str] = ()):
    self._letters = bytearray()
    self._ends = array.array('Q', [0])
    self.extend(texts)

  def append(self, text: str) -> None:
    self._letters += text.encode(*_CODING)
    self._ends.append(len(self._letters))

  def extend(self, texts: Iterable[str]) -> None:
    for text in texts:
      self.append(text)

  def __len__(self) -> int:
    return len(self._ends) - 1

  def __getitem__(self, number: Any) -> Any:
    if isinstance(number, slice):
      return [self[n] for n in range(*number.indices(len(self)))]
    number = range(len(self))[number]
    start, end = self._ends[number], self._ends[number + 1]
    return self._letters[start:end].decode(*_CODING)

  def __iter__(self) -> Iterator[str]:
    start = 0
    for number in range(1, len(self._ends)):
      end = self._ends[number]
      yield self._letters[start:end].decode(*_CODING)
      start = end

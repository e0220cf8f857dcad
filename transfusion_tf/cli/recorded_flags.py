"""The flags of a study, kept in its folder: STUDY/flags.txt is a flagfile.

`study.py --output_dir=STUDY` continues the study of that folder, and
`--more_seeds=3` adds seeds to it. How many it then has is written before they
are trained (STUDY/seeds.json): until they are in the report, the same command
goes on, and adds no more.
"""

import os
import sys
from typing import TypedDict

from absl import flags

from transfusion_tf import errors
from transfusion_tf import json_file
from transfusion_tf import storage
from transfusion_tf.cli import cluster_flags
from transfusion_tf.cli import plan_flags

FLAGS_FILE, SEEDS_FILE = 'flags.txt', 'seeds.json'
# What one session may have and the next not.
_OF_A_SESSION = (
  *('output_dir', 'more_seeds', 'num_processes', 'time_limit'),
  *cluster_flags.FLAGS,
  *plan_flags.NAMES,
)
DATA = (
  '--data (a table, a folder of classes, ...), --table and --images, or '
  '--dataset and --data_dir of a prepared set'
)
_BEGUN_IN = '# Begun in '


class _Seeds(TypedDict):
  reported: int
  seeds: int


class Command:
  """The flags of a study: those given, or those recorded in its folder.

  Attributes:
    root: Folder of the study.
    continues: Whether they are those recorded.
  """

  def __init__(self, root: str, module: str):
    """Take up the study in a folder, if no other one is given.

    Args:
      root: Folder of the study.
      module: Name of the module that defines the flags.

    Raises:
      InputError: There is no study to continue, or flags beside --more_seeds
        make another study.
    """
    self._given = _given(module)
    self.root, recorded = root, _read(root)
    more = flags.FLAGS.more_seeds
    own = sorted(set(self._given) - {*_OF_A_SESSION})
    if more and own:
      raise errors.InputError(
        f'--more_seeds adds to the study in {root} with the flags that it has; '
        f'leave out {errors.listed([f"--{name}" for name in own], 4)}'
      )
    if not own and recorded is None:
      raise errors.InputError(
        f'{root}: no study to continue; to begin one, give {DATA}'
      )
    self.continues = not own
    if self.continues:
      self._continue(recorded)
    self._lines = _lines(_given(module))
    self._seeds = self._seeds_so_far(recorded)
    if more:
      self._seeds['seeds'] = self._seeds['reported'] + more
    flags.FLAGS['seeds'].value = self._seeds['seeds']

  def begin(self) -> None:
    """Write what the study is, once nothing is wrong with it."""
    storage.makedirs(self.root)
    text = f'{_BEGUN_IN}{os.getcwd()}\n' + ''.join(self._lines)
    storage.write_text(os.path.join(self.root, FLAGS_FILE), text)
    self._write_seeds()

  def end(self, num_seeds: int) -> None:
    """Say how many seeds the report has: more may be added to these."""
    self._seeds['reported'] = num_seeds
    self._write_seeds()

  def _write_seeds(self):
    storage.write_json(os.path.join(self.root, SEEDS_FILE), self._seeds)

  def _continue(self, recorded):
    """Take the recorded flags, in the folder where they were given."""
    folder, lines = recorded
    here = os.path.abspath(self.root)
    if folder and os.path.isdir(folder):
      os.chdir(folder)
    session = _lines(self._given)
    if flags.FLAGS.more_seeds:  # The limit was for fewer of them.
      lines = [line for line in lines if not line.startswith('--time_limit=')]
    flags.FLAGS([sys.argv[0], *_words(lines), *_words(session)])
    # Runs know the folder by the name that it had.
    ours = dict(_pairs(lines)).get('output_dir', '')
    same = not storage.is_remote(self.root) and os.path.abspath(ours) == here
    if not storage.is_remote(self.root):
      self.root = ours if same else here
    flags.FLAGS['output_dir'].value = self.root

  def _seeds_so_far(self, recorded):
    """Return how many seeds the study has, and its report."""
    asked = flags.FLAGS.seeds
    path = os.path.join(self.root, SEEDS_FILE)
    try:
      known = json_file.read(path, _Seeds, 'delete it, and --seeds counts')
    except FileNotFoundError:
      known = None
    if recorded is None or known is None:
      return {'reported': asked, 'seeds': asked}
    if _study(recorded[1]) == _study(self._lines):
      return known
    if known['seeds'] > asked:
      print(
        f'note: other flags than before, with {asked} seeds; the study had '
        f'{known["seeds"]}: --seeds={known["seeds"]} takes them all'
      )
    return {'reported': asked, 'seeds': asked}


def _given(module):
  """Return name -> flag, of those on the command line."""
  known = flags.FLAGS.get_key_flags_for_module(module)
  return {flag.name: flag for flag in known if flag.present}


def _lines(given):
  return [
    f'{flag.serialize()}\n'
    for name, flag in sorted(given.items())
    if name not in ('more_seeds', 'list_sources', *plan_flags.NAMES)
  ]


def _read(root):
  """Return where a study was begun and its flags; None without one."""
  path = os.path.join(root, FLAGS_FILE)
  if not storage.exists(path):
    return None
  try:
    lines = storage.read_text(path).splitlines(keepends=True)
  except (OSError, UnicodeDecodeError) as error:
    raise errors.DamagedFileError(
      path, storage.reason(error), 'delete it and give the flags again'
    ) from None
  folder = ''
  for line in lines:
    if line.startswith(_BEGUN_IN):
      folder = line.removeprefix(_BEGUN_IN).strip()
  return folder, [line for line in lines if line.startswith('--')]


def _words(lines):
  return [line.rstrip('\n') for line in lines]


def _pairs(lines):
  for line in _words(lines):
    name, _, value = line.removeprefix('--').partition('=')
    yield name, value


def _study(lines):
  """Return the flags that make a study, whatever the session."""
  return {n: v for n, v in _pairs(lines) if n not in _OF_A_SESSION}

"""Commands whose disk is full: one line, nothing half-written, and on they go.

The disk is one in memory, in a namespace where the test is root.
"""

import os
import subprocess
import sys

import paths
import pytest
import writing_commands

_SCRIPT = """
set -e
place=$1 disk=$2 options=$3 kept=$4
shift 4
mount -t tmpfs -o "$options" tmpfs "$disk"
cp -a "$place/." "$disk/"
head -c 4096 /dev/zero > "$disk/one page"
mount --bind "$disk" "$place"
code=0
"$@" 2> "$kept/errors" || code=$?
cp -a "$place/." "$kept/full/"
echo $code > "$kept/code"
rm "$disk/one page"
mount -o remount,size=1g,nr_inodes=100000 "$disk"
"$@"
cp -a "$place/." "$kept/whole/"
"""
_UNSHARE = ('unshare', '--map-root-user', '--mount', 'sh', '-c')


def _has_namespaces():
  try:
    mount = [*_UNSHARE, 'mount -t tmpfs tmpfs /tmp']
    return not subprocess.run(mount, capture_output=True).returncode
  except OSError:
    return False


pytestmark = pytest.mark.skipif(
  not _has_namespaces(), reason='needs user namespaces, to mount a small disk'
)


def _taken(folder):
  """The pages and the inodes that a folder takes on such a disk."""
  found = [folder, *folder.rglob('*')]
  pages = sum(-(-f.stat().st_size // 4096) for f in found if f.is_file())
  return pages, len(found)


def _fill_and_make_room(start, root, folder, command, kind, share):
  undisturbed, place = folder / 'undisturbed' / 'out', folder / 'place' / 'out'
  kept = folder / 'kept'
  for made in (undisturbed.parent, place.parent, folder / 'disk'):
    made.mkdir()
  for name in ('full', 'whole'):
    (kept / name).mkdir(parents=True)
  process = start(command, undisturbed)
  assert process.wait() == 0, process.complaints
  arguments = writing_commands.COMMANDS[command](root, place)
  begun, needed = _taken(place.parent), _taken(undisturbed.parent)
  pages, inodes = (
    1 + first + int(share * (last - first))
    for first, last in zip(begun, needed, strict=True)
  )
  options = {
    'bytes': f'size={4096 * pages},nr_inodes=100000',
    'inodes': f'size=1g,nr_inodes={inodes}',
  }[kind]
  done = subprocess.run(
    [
      *(*_UNSHARE, _SCRIPT, 'sh', place.parent, folder / 'disk', options, kept),
      *(sys.executable, paths.BIN / f'{command}.py', *arguments),
    ],
    env=os.environ | {'TMPDIR': str(folder / 'scratch')},
    capture_output=True,
    text=True,
  )
  said = (kept / 'errors').read_text()
  assert not done.returncode, f'{said}\n{done.stderr}'
  assert (kept / 'code').read_text() in ('1\n', '2\n'), said
  (line,) = [x for x in said.splitlines() if x.startswith(f'{command}.py: ')]
  assert 'No space left on device' in line and 'make room' in line, said
  assert 'Traceback' not in said
  _check_what_is_there(command, kept / 'full' / 'out', undisturbed)
  writing_commands.check(command, kept / 'whole' / 'out', undisturbed)
  assert not os.listdir(folder / 'scratch')


def _check_what_is_there(command, out, undisturbed):
  """What a command leaves under a final name is whole."""
  expected = writing_commands.files(undisturbed)
  for name, digest in writing_commands.files(out).items():
    if 'partial' not in name and command in writing_commands.EXACT:
      assert expected.get(name) == digest, name


def test_demo_data(start, tmp_path):
  _fill_and_make_room(start, None, tmp_path, 'make_demo_data', 'bytes', 0.5)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize('command', writing_commands.COMMANDS)
@pytest.mark.parametrize(
  ('kind', 'share'), [('bytes', 0.02), ('bytes', 0.7), ('inodes', 0.3)]
)
def test_every_command(start, root, tmp_path, command, kind, share):
  _fill_and_make_room(start, root, tmp_path, command, kind, share)

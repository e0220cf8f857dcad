"""ImageNet's archives: listed without unpacking, checked, built by TFDS."""

import pytest
import raw_sets

from data import archives
from data import imagenet2012
from data import images
from data import preflight
from transfusion_tf import errors
from transfusion_tf.input_pipeline import tfds_folder


def test_members_of_tars_in_a_tar_are_found_at_their_place(tmp_path):
  raw = raw_sets.imagenet2012(tmp_path, validation=4)
  records = imagenet2012.find(raw).splits()
  train = records['train']
  assert [r.image_id for r in train[:4]] == [
    'n01440764_0.JPEG',
    'n01440764_1.JPEG',
    'n01440764_2.JPEG',
    'n01443537_0.JPEG',
  ]
  assert [r.labels['label'] for r in train[2:4]] == ['n01440764', 'n01443537']
  assert images.load(images.read(train[5].path)).size == (60, 48)
  first = [(r.image_id, r.labels['label']) for r in records['validation'][:2]]
  # As published: ILSVRC2012_val_00000001 is n01751748.
  assert first[0] == ('ILSVRC2012_val_00000001.JPEG', 'n01751748')


def test_a_gap_in_the_validation_images_would_shift_their_labels(tmp_path):
  raw = raw_sets.imagenet2012(tmp_path / 'raw', validation=4)
  builder = imagenet2012.Builder(tmp_path / 'data')
  builder.num_processes = 1
  checked = builder.check(raw)
  assert [problem.kind for problem in checked.bad] == ['contradictory labels']
  with pytest.raises(errors.InputError, match='4 images for 50,000 labels'):
    builder.build(checked)


def test_a_broken_image_in_a_tar_is_named(tmp_path):
  raw = raw_sets.imagenet2012(tmp_path, validation=2)
  victim = imagenet2012.find(raw).records[3]
  archive, place = victim.path.split('::')
  with open(archive, 'r+b') as file:
    file.seek(int(place.split('+')[0]))
    file.write(bytes(100))
  found = preflight.check_images(imagenet2012.find(raw), num_processes=1)
  bad = [
    problem for problem in found.problems if problem.kind == 'not an image'
  ]
  assert [problem.location for problem in bad] == ['n01443537_0.JPEG']


@pytest.mark.parametrize('cut', [3, 5000])
def test_a_tar_that_was_not_downloaded_whole_is_an_error(cut, tmp_path):
  raw = raw_sets.imagenet2012(tmp_path, validation=2)
  tar = raw / 'ILSVRC2012_img_train.tar'
  tar.write_bytes(tar.read_bytes()[:cut])
  with pytest.raises(errors.InputError, match='is not a whole tar'):
    imagenet2012.find(raw)


def test_a_missing_tar_is_an_error(tmp_path):
  with pytest.raises(errors.InputError, match=r'no .*img_train'):
    imagenet2012.find(tmp_path)


def test_a_path_that_is_no_archive(tmp_path):
  (tmp_path / 'train.zip').write_text('log in')
  with pytest.raises(errors.InputError, match='not a whole zip'):
    archives.zip_members(tmp_path / 'train.zip')


@pytest.mark.slow
def test_tfds_builds_what_was_checked(tmp_path):
  raw = raw_sets.imagenet2012(tmp_path / 'raw', validation=50_000)
  builder = imagenet2012.Builder(tmp_path / 'data')
  checked = builder.check(raw)
  assert not checked.bad
  assert builder.build(checked) and not builder.build(checked)
  opened = tfds_folder.open_dataset(str(tmp_path / 'data'), 'imagenet2012')
  assert opened.num_examples('train') == 6
  index = opened.index('validation')
  assert len(index) == 50_000
  label = dict(zip(index.image_ids, index.labels['label'], strict=True))
  named = opened.features['label'].int2str(
    int(label['ILSVRC2012_val_00000001.JPEG'])
  )
  assert named == 'n01751748'

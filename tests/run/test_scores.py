"""Tables of scores, as they are read."""

import pytest

from transfusion_tf import errors
from transfusion_tf.run import scores


@pytest.mark.parametrize('row', ['b', 'b,', ',p'])
def test_a_row_without_its_ids_is_damage(row, tmp_path):
  path = tmp_path / 'test_scores.csv'
  path.write_text(f'image_id,patient_id,x:score,x:label\na,p,0.5,1\n{row}\n')
  with pytest.raises(errors.DamagedFileError, match='an empty'):
    scores.read(str(path))

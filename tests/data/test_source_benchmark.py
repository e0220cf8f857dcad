"""The benchmark of sources reads what it wrote, by ours and by libraries."""

from transfusion_tf.cli.benchmarks import sources


def test_every_shape_is_read_whole_both_ways():
  figures = {name: figure for name, figure, _ in sources.suite(200)}
  shapes = {name.split(',')[0] for name in figures}
  assert len(shapes) == 5
  for shape in shapes:
    ours, library, ratio = (
      figures[f'{shape}, {what}']
      for what in ('ours', 'library', 'ours / library')
    )
    assert min(ours, library) > 0
    assert abs(ratio - ours / library) < 1e-6 * ratio

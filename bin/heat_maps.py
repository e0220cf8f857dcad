"""Shows where a network looks: see transfusion_tf/cli/heat_maps.py."""

import pathlib
import sys

# In place of bin/, whose svcca.py is not the package of that name.
sys.path[0] = str(pathlib.Path(__file__).resolve().parents[1])

from transfusion_tf.cli import heat_maps  # noqa: E402

if __name__ == '__main__':
  heat_maps.run()

"""Writes a data set as Parquet: see transfusion_tf/cli/export_data.py."""

import pathlib
import sys

# In place of bin/, whose svcca.py is not the package of that name.
sys.path[0] = str(pathlib.Path(__file__).resolve().parents[1])

from transfusion_tf.cli import export_data  # noqa: E402

if __name__ == '__main__':
  export_data.run()

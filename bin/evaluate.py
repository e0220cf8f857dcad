"""Scores a split: see transfusion_tf/cli/evaluate.py."""

import pathlib
import sys

# In place of bin/, whose svcca.py is not the package of that name.
sys.path[0] = str(pathlib.Path(__file__).resolve().parents[1])

from transfusion_tf.cli import evaluate  # noqa: E402

if __name__ == '__main__':
  evaluate.run()

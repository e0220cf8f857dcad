"""Compiles a step for TPUs: see transfusion_tf/cli/compile_for_tpu.py."""

import pathlib
import sys

# In place of bin/, whose svcca.py is not the package of that name.
sys.path[0] = str(pathlib.Path(__file__).resolve().parents[1])

from transfusion_tf.cli import compile_for_tpu  # noqa: E402

if __name__ == '__main__':
  compile_for_tpu.run()

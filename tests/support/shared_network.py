"""Trains runs one after another with what they can share: CONFIG RUN_DIR …"""

import sys

from transfusion_tf import config
from transfusion_tf.run import network
from transfusion_tf.run import train_and_evaluate

shared = network.Shared()
for path, run_dir in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
  train_and_evaluate.run(config.load(path), run_dir, shared=shared)
  print('held' if shared.is_held else 'not held', flush=True)

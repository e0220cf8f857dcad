"""Imports TensorFlow quietly, before the processes of jobs are forked.

No device is touched: a GPU that was initialized before the fork is lost after.
"""

import gc

from transfusion_tf import startup

with startup.quiet():
  import transfusion_tf.run.train_and_evaluate  # noqa: F401

gc.freeze()  # Imported modules stay: the garbage collector need not visit them.

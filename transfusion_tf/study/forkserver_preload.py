"""What a job's process imports before it is forked: TensorFlow, without a word.

No device is touched: a GPU that was looked at before the fork is lost after it.
"""

import gc

from transfusion_tf import startup

with startup.quiet():
  import transfusion_tf.run.train_and_evaluate  # noqa: F401

gc.freeze()  # What is imported stays: no search for garbage has to visit it.

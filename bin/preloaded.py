"""What a job's process imports before it is forked: TensorFlow, without a word.

Nothing is called: a GPU that was looked at before the fork is lost after it.
"""

import cli

with cli.quiet():
  import transfusion_tf.launch  # noqa: F401

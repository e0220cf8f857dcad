"""Python's garbage collector, off from the first import on.

While all is imported, and then in each of its passes over all that is there, it
would take a second.
"""

import gc

gc.disable()


def resume() -> None:
  """Let it visit what is made from now on."""
  gc.freeze()
  gc.enable()

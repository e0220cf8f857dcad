"""The steps of a run compiled for TPUs, on a machine that has none."""

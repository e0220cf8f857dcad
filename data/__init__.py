"""Build-time code: how raw downloads become prepared data sets.

Never imported by `transfusion_tf` and never installed: the two meet only in
the prepared data sets on disk.
"""

"""The commands: flags and a short `main` each.

`pip install` makes `transfusion-NAME` of each; in a clone, `bin/NAME.py` runs
it.
"""

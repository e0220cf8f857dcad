"""Folders of the project, for tests."""

import pathlib

ROOT = pathlib.Path(__file__).parents[2]
BIN = ROOT / 'bin'
TESTS = ROOT / 'tests'

#!/usr/bin/env bash
# Runs all tests: bash bin/test.sh [pytest's own arguments]
#
# Makes .venv and installs the project there if that has not been done. The
# long tests stay out by default: -m soak, -m fuzz and -m slow run them.
set -euo pipefail
unset CDPATH  # With it, cd prints where it goes.
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
source bin/venv.sh
install_project '[test]'
export TF_CPP_MIN_LOG_LEVEL=2
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
# Two files at a time: much of a test is tracing, which takes one core.
exec .venv/bin/python -m pytest -n 2 --dist loadfile \
  --no-loadscope-reorder "$@"

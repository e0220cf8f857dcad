# Makes .venv and installs this project in it; sourced by the other scripts.
# install_project EXTRAS: EXTRAS is '' or '[test]'. PYTHON names the Python.

install_project() {
  local extras=$1 stamp=".venv/installed$1"
  if [[ ! -x .venv/bin/python ]]; then
    local python=${PYTHON:-python3}
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
      echo "$python is older than Python 3.11: set PYTHON to a newer one" >&2
      return 2
    }
    echo "== Making .venv with $("$python" --version)"
    "$python" -m venv .venv
  fi
  if [[ ! -e $stamp || setup.py -nt $stamp || constraints.txt -nt $stamp ]]
  then
    echo "== Installing (about 2.5 GB; one to three minutes)"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check \
      --constraint constraints.txt --editable ".$extras"
    touch "$stamp"
  fi
}

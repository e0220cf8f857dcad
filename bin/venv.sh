# Makes .venv and installs this project in it; sourced by the other scripts.
# install_project EXTRAS: EXTRAS is '' or '[test]'. PYTHON names the Python.

install_project() {
  local extras=$1 stamp=".venv/installed$1"
  ensure_pip || return 2
  if [[ ! -e $stamp || setup.py -nt $stamp || constraints.txt -nt $stamp ]]
  then
    echo "== Installing (about 2.5 GB; one to three minutes)"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check \
      --constraint constraints.txt --editable ".$extras"
    touch "$stamp"
  fi
}

ensure_pip() {
  # Without pip, .venv is half made (an interrupt, or no python3-venv on Debian)
  # or another tool's.
  .venv/bin/python -c 'import pip' 2> /dev/null ||
    .venv/bin/python -m ensurepip > /dev/null 2>&1 ||
    make_venv "${PYTHON:-python3}"
}

make_venv() {
  local python=$1 version
  version=$(
    "$python" -c 'import sys; print(*sys.version_info[:2], sep=".")' 2> /dev/null
  ) || version=
  case $version in
    3.11 | 3.12 | 3.13) ;;
    '')
      echo "$python is no Python: set PYTHON to one" >&2
      return 2
      ;;
    *)
      echo "$python is Python $version, and TensorFlow has wheels for 3.11" \
        'to 3.13: set PYTHON to one of them' >&2
      return 2
      ;;
  esac
  echo "== Making .venv with Python $version"
  "$python" -m venv --clear .venv ||
    { echo "$python cannot make .venv: see above" >&2; return 2; }
}

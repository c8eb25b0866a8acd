#!/usr/bin/env bash
# Create or update .venv and activate it; source this from a task. Takes less than a second if nothing has changed.
#   PYTHON=python3.12 tasks/setup.sh               another interpreter
#   TEXT_RECOGNIZER_EXTRA=gpu tasks/setup.sh       TensorFlow for NVIDIA GPUs (the default if /dev/nvidiactl exists)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

find_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "setup: no Python 3.11 or newer found. Install one, or name it: PYTHON=/path/to/python3.12 $0" >&2
  return 1
}

make_venv() {
  local extra=$1 stamp=$2
  echo "setup: installing into .venv (extra: $extra), once; this takes a minute or two" >&2
  if [ "$(cut -d' ' -f2 .venv/.stamp 2>/dev/null)" != "$PWD" ]; then
    rm -rf .venv # incomplete, or moved here from another folder, which its scripts still point to
  fi
  if [ ! -x .venv/bin/python ]; then
    "$(find_python)" -m venv .venv || {
      rm -rf .venv
      echo "setup: python3 could not create a virtual environment (on Debian and Ubuntu: apt install python3-venv)" >&2
      return 1
    }
  fi
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[$extra,dev]" >&2
  echo "$stamp" >.venv/.stamp
}

setup() {
  local extra stamp
  extra=${TEXT_RECOGNIZER_EXTRA:-}
  if [ -z "$extra" ]; then
    if [ -e /dev/nvidiactl ]; then extra=gpu; else extra=cpu; fi
  fi
  stamp="$extra $PWD $(cat pyproject.toml constraints.txt | cksum)"
  if [ "$(cat .venv/.stamp 2>/dev/null)" != "$stamp" ]; then
    if command -v flock >/dev/null; then
      exec 9>.venv.lock
      flock 9 # another task may be installing right now
    fi
    if [ "$(cat .venv/.stamp 2>/dev/null)" != "$stamp" ]; then
      make_venv "$extra" "$stamp"
    fi
    exec 9>&-
  fi
  # shellcheck disable=SC1091
  source .venv/bin/activate
}

setup

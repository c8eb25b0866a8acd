#!/usr/bin/env bash
# Set up, then run the tests, three files at a time, because many of them wait for processes that they started.
# Arguments go to pytest, e.g. tasks/test.sh training/tests -k resume
# Without arguments: all tests except the commands in the documentation and the CI steps in a clean clone
# (-m "docs or clone").
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
mkdir -p test-results
unset PYTHONDONTWRITEBYTECODE # if it is set, every process compiles all tests again
if [ $# -eq 0 ]; then set -- -m "not docs and not clone" --junitxml=test-results/tests.xml; fi
workers=(-n 3 --dist loadfile --no-loadscope-reorder)
for argument in "$@"; do
  case $argument in
    *.py | *.py::* | --pdb) workers=() ;; # a single file runs in one process, and a debugger needs the terminal
  esac
done
exec python -m pytest "${workers[@]}" -rs "$@"

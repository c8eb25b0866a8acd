#!/usr/bin/env bash
# Set up, then pass the tests, three files at a time, as many of them wait for processes that they started. Arguments go
# to pytest, e.g. tasks/test.sh training/tests -k resume
# Without arguments: all but the commands of the documents and the steps of CI in a clean clone (-m "docs or clone").
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
mkdir -p test-results
unset PYTHONDONTWRITEBYTECODE # where that is set, every process compiles all tests for itself
if [ $# -eq 0 ]; then set -- -m "not docs and not clone" --junitxml=test-results/tests.xml; fi
workers=(-n 3 --dist loadfile --no-loadscope-reorder)
for argument in "$@"; do
  case $argument in
    *.py | *.py::* | --pdb) workers=() ;; # one file is the work of one process, and a debugger wants the terminal
  esac
done
exec python -m pytest "${workers[@]}" -rs "$@"

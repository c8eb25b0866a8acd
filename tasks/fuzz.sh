#!/usr/bin/env bash
# Set up, then try mutated inputs on all code that reads files, or on the named targets:
# tasks/fuzz.sh hdf5 png --inputs 100000 --keep finds
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
exec python -m training.tests.fuzzing "$@"

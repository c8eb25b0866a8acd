#!/usr/bin/env bash
# Set up, then try mutated inputs on everything that reads files, or on the targets named:
# tasks/fuzz.sh hdf5 png --inputs 100000 --keep finds
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
exec python -m training.tests.fuzzing "$@"

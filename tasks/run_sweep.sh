#!/usr/bin/env bash
# Set up, then run a sweep; by default a small one. Arguments: see run_sweep --help.
set -euo pipefail
caller=$PWD
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
if [ $# -eq 0 ]; then set -- "$PWD/training/sweep_digits.yaml" --run-cap=4 --jobs=2; fi
cd "$caller"
exec run_sweep "$@"

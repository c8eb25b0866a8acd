#!/usr/bin/env bash
# Set up, then print a command for each sample experiment, for example for parallel -j2. Arguments: see prepare_experiments.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
exec prepare_experiments training/experiments/sample.json "$@"

#!/usr/bin/env bash
# Set up, then run one experiment; by default the default experiment. Arguments: see run_experiment --help.
set -euo pipefail
caller=$PWD
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
cd "$caller"
exec run_experiment "$@"

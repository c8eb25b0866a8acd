#!/usr/bin/env bash
# Set up, then run one experiment; without arguments the default one. Arguments: see run_experiment --help.
set -euo pipefail
caller=$PWD
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
cd "$caller"
exec run_experiment "$@"

#!/usr/bin/env bash
# Set up, then print a table of ratios for all benchmarks, or for the named ones: tasks/bench.sh start_up logging_cost
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
exec python -m training.benchmarks "$@"

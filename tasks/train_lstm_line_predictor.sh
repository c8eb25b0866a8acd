#!/usr/bin/env bash
# Train the canonical line model on lines of EMNIST characters. Arguments: see run_experiment --help.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/run_experiment.sh" '{"dataset": "EmnistLinesDataset", "model": "LineModelCtc", "network": "line_lstm_ctc"}' --save "$@"

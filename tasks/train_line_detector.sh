#!/usr/bin/env bash
# Train the canonical line detector on IAM. Arguments: see run_experiment --help.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/run_experiment.sh" '{"dataset": "IamParagraphsDataset", "model": "LineDetectorModel", "network": "fcn", "train_args": {"batch_size": 16, "epochs": 32}}' --save "$@"

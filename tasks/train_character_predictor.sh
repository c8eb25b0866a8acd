#!/usr/bin/env bash
# Train the canonical character model. Arguments: see run_experiment --help.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/run_experiment.sh" '{"dataset": "EmnistDataset", "model": "CharacterModel", "network": "mlp", "train_args": {"batch_size": 256}}' --save "$@"

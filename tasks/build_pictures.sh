#!/usr/bin/env bash
# Set up, then train two small models and draw docs/pictures/ from their runs; some minutes. Needs chromium for the report.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
TEXT_RECOGNIZER_RUNS=$(mktemp -d)
export TEXT_RECOGNIZER_RUNS
trap 'rm -rf "$TEXT_RECOGNIZER_RUNS"' EXIT
run_experiment --experiment_group=pictures --id=characters --nowandb
run_experiment docs/make/lines.json --id=lines --nowandb
python docs/make/pictures.py "$TEXT_RECOGNIZER_RUNS/pictures/characters" "$TEXT_RECOGNIZER_RUNS/pictures/lines" docs/pictures

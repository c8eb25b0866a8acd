#!/usr/bin/env bash
# Set up, then train two small models, run a sweep, and draw docs/pictures/ from them; takes a few minutes. Needs
# chromium for the report and the web page, and apt for handwriting fonts.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
[ -e data/line_reader/texts.txt ] || tasks/line_reader_data.sh
TEXT_RECOGNIZER_RUNS=$(mktemp -d)
export TEXT_RECOGNIZER_RUNS
trap 'rm -rf "$TEXT_RECOGNIZER_RUNS"' EXIT
run_experiment --experiment_group=pictures --id=characters --nowandb
run_experiment docs/make/lines.json --id=lines --nowandb
run_sweep training/sweep_digits.yaml --jobs 2
python docs/make/pictures.py "$TEXT_RECOGNIZER_RUNS/pictures/characters" "$TEXT_RECOGNIZER_RUNS/pictures/lines" \
  "$TEXT_RECOGNIZER_RUNS/sweep_digits" docs/pictures

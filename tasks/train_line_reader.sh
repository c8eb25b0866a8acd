#!/usr/bin/env bash
# Train a line reader like the included one: real lines in data/testaments and data/stanford1905, rendered ones from
# tasks/line_reader_data.sh. Then promote it as line-reader, which takes precedence over the included one.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
[ -e data/line_reader/texts.txt ] || tasks/line_reader_data.sh
run_experiment training/experiments/line_reader_start.json --id line-reader-start "$@"
run_experiment training/experiments/shipped_line_reader.json --id line-reader --train_args.initial_weights=line-reader-start "$@"
text-recognizer promote line-reader --as line-reader
# The included bundle is a copy of the promoted one, packed to half its size: python tasks/pack_bundle.py FOLDER

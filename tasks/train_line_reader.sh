#!/usr/bin/env bash
# Train the reader of lines that comes along, anew: real lines in data/testaments and data/stanford1905, drawn ones from
# tasks/line_reader_data.sh. It is then promoted as line-reader, which goes before the shipped one.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
[ -e data/line_reader/texts.txt ] || tasks/line_reader_data.sh
run_experiment training/experiments/line_reader_start.json --id line-reader-start "$@"
run_experiment training/experiments/shipped_line_reader.json --id line-reader --train_args.initial_weights=line-reader-start "$@"
text-recognizer promote line-reader --as line-reader
# What ships is a copy of the promoted bundle at half its size: python tasks/pack_bundle.py FOLDER

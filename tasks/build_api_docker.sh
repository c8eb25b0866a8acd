#!/usr/bin/env bash
# Build the image text_recognizer_api. Arguments go to docker build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec docker build --tag text_recognizer_api "$@" .

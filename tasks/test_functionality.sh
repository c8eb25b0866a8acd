#!/usr/bin/env bash
# Set up, then run the tests of text_recognizer, which pass right after set-up.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
exec python -m pytest text_recognizer/tests "$@"

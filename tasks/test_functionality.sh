#!/usr/bin/env bash
# Set up, then run the prediction tests: what works straight after set-up.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
exec python -m pytest text_recognizer/tests "$@"

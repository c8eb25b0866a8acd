#!/usr/bin/env bash
# Set up, then test the prediction service.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
exec python -m pytest text_recognizer/tests/test_serving*.py training/tests/test_serve_command.py "$@"

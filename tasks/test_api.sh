#!/usr/bin/env bash
# Set up, then test the prediction service.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
exec python -m pytest text_recognizer/tests/serving/test_serving*.py training/tests/commands/test_serve_command.py "$@"

#!/usr/bin/env bash
# Set up, then check that characters, lines and pages reach their minimum accuracy and speed.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
mkdir -p test-results
exec python -m pytest evaluation/test_*.py --junitxml=test-results/evaluation.xml "$@"

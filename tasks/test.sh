#!/usr/bin/env bash
# Set up, then pass the tests. Arguments go to pytest, e.g. tasks/test.sh training/tests -k resume
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
mkdir -p test-results
if [ $# -eq 0 ]; then set -- --junitxml=test-results/tests.xml; fi
exec python -m pytest "$@"

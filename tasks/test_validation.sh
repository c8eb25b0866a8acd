#!/usr/bin/env bash
# Check that the canonical bundles keep their recorded accuracy: the old name of test_evaluation.sh.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/test_evaluation.sh" "$@"

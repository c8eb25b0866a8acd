#!/usr/bin/env bash
# Hold the canonical bundles to their recorded accuracy: the older name of test_evaluation.sh.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/test_evaluation.sh" "$@"

#!/usr/bin/env bash
# Check style, types, shell scripts, the Dockerfile and known vulnerabilities. All checks run; the exit code is 1 if any failed.
set -uo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh" || exit 1
failed=0
check() {
  echo "lint: $*"
  "$@" || failed=1
}
check ruff check .
check ruff format --check .
check mypy
check shellcheck --external-sources --source-path=SCRIPTDIR tasks/*.sh .ci/run
check hadolint Dockerfile
check tasks/audit.sh
exit "$failed"

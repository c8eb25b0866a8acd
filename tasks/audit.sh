#!/usr/bin/env bash
# Set up, then check the packages in constraints.txt for known vulnerabilities; offline, a message says that it could not.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
found=$(mktemp)
trap 'rm -f "$found"' EXIT
# --strict: if a package cannot be looked up, pip-audit fails before it writes anything.
if ! python -m pip_audit --strict --requirement=constraints.txt --no-deps --disable-pip --progress-spinner=off \
  --timeout=10 --output="$found" 2>/dev/null; then
  if [ -s "$found" ]; then
    cat "$found"
    exit 1
  fi
  echo "audit: the packages could not be looked up (offline?); known vulnerabilities were not checked" >&2
fi

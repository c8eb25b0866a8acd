#!/usr/bin/env bash
# Set up, then serve predictions on port 8000. Arguments: see text-recognizer serve --help.
set -euo pipefail
caller=$PWD
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
cd "$caller"
exec text-recognizer serve "$@"

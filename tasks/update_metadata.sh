#!/usr/bin/env bash
# Set up, then write the hashes of changed files into the registry: tasks/update_metadata.sh NAME…
set -euo pipefail
caller=$PWD
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
cd "$caller"
exec text-recognizer datasets update "$@"

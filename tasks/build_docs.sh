#!/usr/bin/env bash
# Set up, then build the documentation into site/; a broken link or a page missing from the menu is an error. Arguments:
# see mkdocs.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
export NO_MKDOCS_2_WARNING=1
exec python -m mkdocs build --strict --quiet "$@"

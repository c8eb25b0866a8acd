#!/usr/bin/env bash
# Serve predictions from the image, on port 8000, in a container named api.
#   tasks/run_api_docker.sh                     the included model
#   MODELS=~/models tasks/run_api_docker.sh     all models promoted into a folder
# Arguments go to text-recognizer serve.
set -euo pipefail
interactive=()
if [ -t 0 ]; then interactive=(-it); fi
mounted=() served=()
if [ -n "${MODELS:-}" ]; then
  mounted=(--volume "$(realpath "$MODELS"):/models:ro")
  served=(--models /models)
fi
exec docker run --rm "${interactive[@]}" --name api --publish 8000:8000 "${mounted[@]}" text_recognizer_api "${served[@]}" "$@"

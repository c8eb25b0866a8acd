#!/usr/bin/env bash
# Build the image text_recognizer_training:cpu or :gpu, for clusters. Further arguments go to docker build.
#   tasks/build_training_docker.sh cpu|gpu
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
case "${1:-}" in
cpu | gpu) ;;
*)
  echo "usage: $0 cpu|gpu [arguments of docker build]" >&2
  exit 2
  ;;
esac
exec docker build --target training --build-arg "EXTRA=$1" --tag "text_recognizer_training:$1" "${@:2}" .

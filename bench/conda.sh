#!/bin/sh
# conda.sh PROVENV [--only NAME,…]: conda environments beside py-rattler, and buildah with pip; raw results in bench/runs/.
set -eu
cd "$(dirname "$0")/.."
provenv=$(realpath "$1")
shift
tests/install-peers.sh buildah mmdebstrap python3 python3-venv
examples=$(dirname "$provenv")/examples
exec python3 bench/conda.py --provenv "$provenv" --limit "$examples/limit" --channel "$examples/real_channel" "$@"

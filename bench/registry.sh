#!/bin/sh
# registry.sh PROVENV [--packages NAME,… --repeat N]: pushes and pulls beside skopeo, buildah and podman; raw results in bench/runs/<date>/.
set -eu
cd "$(dirname "$0")/.."
provenv=$(realpath "$1")
shift
tests/install-peers.sh buildah podman runc skopeo mmdebstrap docker-registry
exec python3 bench/registry.py --provenv "$provenv" "$@"

#!/bin/sh
# run.sh PROVENV [--only NAME,…]: Provenv beside its peers in one run; raw results in bench/runs/<date>/.
set -eu
cd "$(dirname "$0")/.."
provenv=$(realpath "$1")
shift
tests/install-peers.sh buildah podman runc skopeo mmdebstrap docker.io
# What the bytes and modules alone cost, beside what Provenv takes.
limit=$(dirname "$provenv")/examples/limit
exec python3 bench/bench.py --provenv "$provenv" $([ ! -x "$limit" ] || echo --limit "$limit") "$@"

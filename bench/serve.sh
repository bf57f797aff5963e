#!/bin/sh
# serve.sh PROVENV [--seconds N] [--repeat N] [--big MIB]: `provenv registry serve` beside Debian's docker-registry, and nginx as
# the limit of what files can be sent; raw results in bench/runs/.
set -eu
cd "$(dirname "$0")/.."
provenv=$(realpath "$1")
shift
tests/install-peers.sh docker-registry wrk nginx-light curl python3
exec python3 bench/serve.py --provenv "$provenv" "$@"

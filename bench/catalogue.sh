#!/bin/sh
# catalogue.sh PROVENV [--counts 1000,1000000] [--seconds N] [--postgres URL] [--without-mlflow]: the catalogue over HTTP at several
# sizes, beside MLflow's model registry on the same machine in the same run; raw results in bench/runs/.
set -eu
cd "$(dirname "$0")/.."
provenv=$(realpath "$1")
shift
tests/install-peers.sh wrk python3 python3-venv
generator=${PROVENV_VERSIONS:-$(dirname "$provenv")/examples/versions}
exec python3 bench/catalogue.py --provenv "$provenv" --generator "$generator" "$@"

#!/bin/sh
# catalogue.sh PROVENV [--counts 1000,1000000] [--seconds N] [--databases sqlite,postgres] [--without-mlflow]: the catalogue over HTTP
# at several sizes, in SQLite and in a PostgreSQL of its own, beside MLflow's model registry in the same; raw results in bench/runs/.
set -eu
cd "$(dirname "$0")/.."
provenv=$(realpath "$1")
shift
tests/install-peers.sh wrk postgresql python3 python3-venv util-linux
generator=${PROVENV_VERSIONS:-$(dirname "$provenv")/examples/versions}
exec python3 bench/catalogue.py --provenv "$provenv" --generator "$generator" "$@"

#!/bin/sh
# quickstart.sh PROVENV WORKSPACE: the main job on real input, twice, with what happened.
set -eu
provenv=$1
export PROVENV_WORKSPACE=$2
cd "$(dirname "$0")/.."

say() { if [ -t 1 ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi; }
run() { printf '$ provenv %s\n' "$*"; "$provenv" "$@"; }
seconds() { date +%s.%N; }

say "1. A job: examples/digits/job.yaml trains a scikit-learn model in the environment of environment.yaml."
echo "   Provenv chooses the packages, assembles an image from them, runs the script in it and keeps the record."
start=$(seconds)
run submit examples/digits/job.yaml
first=$(echo "$start $(seconds)" | awk '{printf "%.1f", $2 - $1}')

say "2. The same job again: definition, lock and image are known, so only the script takes time."
start=$(seconds)
run submit examples/digits/job.yaml
second=$(echo "$start $(seconds)" | awk '{printf "%.1f", $2 - $1}')

say "3. What was kept."
run runs list
run env list
run image list
echo
echo "first $first s, second $second s. The workspace is $PROVENV_WORKSPACE."
echo "Next: docs/tutorial.md, or: $provenv --help"

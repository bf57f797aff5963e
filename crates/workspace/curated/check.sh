#!/bin/sh
# Locks every curated environment anew, to see whether each can still be solved: for maintainers, where PyPI, Debian and
# conda-forge are within reach. `--write` keeps each lock beside its definition, which ships it with the next build.
#
# usage: check.sh [--write] [PROVENV]
set -eu

write=no
if [ "${1:-}" = --write ]; then
    write=yes
    shift
fi
provenv=${1:-provenv}
folder=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# Whoever builds from a lock that is shipped asks these hosts and no others.
strange_hosts() {
    grep -o '"url": "[^"]*"' "$1" |
        grep -v -E '"https?://(deb\.debian\.org|security\.debian\.org|files\.pythonhosted\.org|conda\.anaconda\.org)/' || true
}

for definition in "$folder"/*/*/environment.yaml; do
    version=$(dirname "$definition")
    name=$(basename "$(dirname "$version")"):$(basename "$version")
    lock=$work/lock.json
    if ! "$provenv" --workspace "${PROVENV_WORKSPACE:-$work/workspace}" lock --upgrade "$definition" --file - \
        >"$lock" 2>"$work/log"; then
        echo "FAILED  $name"
        sed 's/^/        /' "$work/log"
        failed=$((failed + 1))
        continue
    fi
    echo "solved  $name"
    [ "$write" = yes ] || continue
    if [ -n "$(strange_hosts "$lock")" ]; then
        echo "        not written: it names hosts that are not everybody's"
    elif grep -q '"built"' "$lock"; then
        echo "        not written: it names a wheel that was built here"
    else
        cp "$lock" "$version/environment.lock.json"
    fi
done
[ "$failed" -eq 0 ]

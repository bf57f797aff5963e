#!/bin/sh
# Installs Schemathesis from PyPI, pinned by requirements.txt, into the folder that is named.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:?name a folder}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
if cmp -s "$here/requirements.txt" "$folder/installed.txt"; then exit 0; fi
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check --no-compile -r "$here/requirements.txt"
cp "$here/requirements.txt" "$folder/installed.txt"

#!/bin/sh
# Fetches axe-core, which looks for what makes pages hard to use, into a folder: from a wheel of PyPI that carries it. Tests run it
# in the pages; nothing is installed.
set -eu
folder=$1
[ ! -e "$folder/axe.min.js" ] || exit 0
command -v python3 >/dev/null || { echo "python3 is not here, so axe-core cannot be fetched" >&2; exit 1; }
work=$folder.new
rm -rf "$work"
mkdir -p "$work"
python3 -m venv "$work/venv"
echo 'axe-playwright-python==0.1.8 --hash=sha256:fdd263c998388f1a8e67cad02677e612d946248bd44d163be5e8650ea31f95f8' >"$work/wanted.txt"
"$work/venv/bin/pip" --quiet --disable-pip-version-check download --no-deps --require-hashes --only-binary :all: --dest "$work" --requirement "$work/wanted.txt"
mkdir -p "$folder"
python3 - "$work" "$folder" <<'END'
import pathlib, sys, zipfile
work, folder = map(pathlib.Path, sys.argv[1:])
wheel = zipfile.ZipFile(next(work.glob("*.whl")))
part = folder / "axe.min.js.part"
part.write_bytes(wheel.read("axe_playwright_python/axe.min.js"))
part.rename(folder / "axe.min.js")
END
rm -rf "$work"

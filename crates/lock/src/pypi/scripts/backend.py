"""Calls a build backend (PEP 517): says what it needs besides, or what the metadata is, or makes the wheel."""

import importlib
import json
import os
import sys
import tempfile
import zipfile

action, source, name, paths, folder = sys.argv[1:]
# What a backend prints is its log; the answer stands between two of these.
MARK = "\x1eprovenv\x1e"
answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
sys.argv[1:] = []
os.chdir(source)
# The working folder is not to be searched (PEP 517), which `-c` does.
sys.path[0:1] = [os.path.join(source, path) for path in json.loads(paths)]
module, _, attributes = name.partition(":")
backend = importlib.import_module(module)
for attribute in filter(None, attributes.split(".")):
    backend = getattr(backend, attribute)


def metadata():
    hook = getattr(backend, "prepare_metadata_for_build_wheel", None)
    with tempfile.TemporaryDirectory() as scratch:
        if hook:
            with open(os.path.join(scratch, hook(scratch), "METADATA"), encoding="utf-8") as file:
                return file.read()
        with zipfile.ZipFile(os.path.join(scratch, backend.build_wheel(scratch))) as wheel:
            path = next(path for path in wheel.namelist() if path.endswith(".dist-info/METADATA"))
            return wheel.read(path).decode("utf-8")


if action == "requires":
    hook = getattr(backend, "get_requires_for_build_wheel", None)
    said = json.dumps(list(hook()) if hook else [])
elif action == "metadata":
    said = metadata()
else:
    os.makedirs(folder, exist_ok=True)
    said = backend.build_wheel(folder)
sys.stdout.flush()
answer.write(MARK + said + MARK)
answer.close()

"""Unpacks a source, if it is an archive, and says where it is and what its pyproject.toml holds."""

import json
import os
import shutil
import sys

source, subdirectory = sys.argv[1:]
if os.path.isfile(source):
    shutil.unpack_archive(source, "unpacked")
    names = os.listdir("unpacked")
    source = os.path.abspath(os.path.join("unpacked", *(names if len(names) == 1 else [])))
source = os.path.normpath(os.path.join(source, subdirectory))
try:
    with open(os.path.join(source, "pyproject.toml"), encoding="utf-8") as file:
        pyproject = file.read()
except FileNotFoundError:
    pyproject = ""
json.dump({"source": source, "pyproject": pyproject}, sys.stdout)

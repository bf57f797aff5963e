"""The executable ``provenv`` that came with this package: sandboxes begin as a copy of it, and Python is none."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from typing import Optional


def find() -> Optional[str]:
    """The executable beside this Python, else the one on PATH; PROVENV_EXECUTABLE names another one."""
    named = os.environ.get("PROVENV_EXECUTABLE")
    if named:
        return named
    schemes = [sysconfig.get_path("scripts"), os.path.join(sys.prefix, "bin")]
    # Where `pip install --user` and `pip install --target` put scripts.
    schemes.append(sysconfig.get_path("scripts", f"{os.name}_user"))
    schemes.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bin"))
    for folder in schemes:
        file = os.path.join(folder, "provenv")
        # A script of the same name would be this package's own front door, and no sandbox.
        if os.path.isfile(file) and os.access(file, os.X_OK):
            return file
    return shutil.which("provenv")


def tell_helper() -> None:
    """Tells Rust which program sandboxes begin as."""
    from provenv import _native

    file = find()
    if file is not None:
        _native.set_helper(file)

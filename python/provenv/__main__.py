"""``python -m provenv``: the command line."""

import os
import sys

from provenv._executable import find

if __name__ == "__main__":
    program = find()
    if program is None:
        sys.exit("error: the executable `provenv` is missing\nhint: install the package again, or set PROVENV_EXECUTABLE")
    os.execv(program, [program, *sys.argv[1:]])

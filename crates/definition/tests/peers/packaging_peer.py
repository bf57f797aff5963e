"""Reads requirements from standard input, one a line, and says of each what packaging makes of it, as JSON."""

import json
import sys

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

for line in sys.stdin:
    try:
        found = Requirement(line.rstrip("\n"))
    except InvalidRequirement:
        print("null")
        continue
    print(json.dumps({
        "name": canonicalize_name(found.name),
        "extras": sorted({canonicalize_name(extra) for extra in found.extras}),
        "specifiers": sorted(map(str, found.specifier)),
        "url": found.url,
        "marker": found.marker is not None,
    }))

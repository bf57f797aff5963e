"""What Schemathesis is to know of our API: how lines of JSON are sent, and what is really there.

Made-up names are of nothing, so that most answers would be 404. Three times in four a name is one of those that run.sh has put
there; which, comes of the made-up one, so that a seed makes the same requests.
"""

import json
import os
import zlib

import schemathesis

schemathesis.serializer.alias("application/x-ndjson", "text/plain")

KNOWN = json.loads(os.environ.get("PROVENV_KNOWN", "{}"))


def known(name, path):
    """The values that a place in a path may really have."""
    if name == "id":
        # The word before it says of what: /jobs/{id}/log.
        name = path.split("/{id}")[0].rsplit("/", 1)[-1]
    return KNOWN.get(name, [])


@schemathesis.hook
def map_path_parameters(ctx, path_parameters):
    for name, value in (path_parameters or {}).items():
        there = known(name, ctx.operation.path)
        chance = zlib.crc32(repr(value).encode("utf-8", "replace"))
        if there and chance % 4:
            path_parameters[name] = there[chance // 4 % len(there)]
    return path_parameters

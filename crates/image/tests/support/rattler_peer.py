"""What py-rattler makes of a channel, and of a prefix.

    rattler_peer.py install CHANNEL CACHE FOLDER SPEC...
    rattler_peer.py install-inside CHANNEL CACHE FOLDER SPEC...
    rattler_peer.py list FOLDER

The first installs to FOLDER, the second as if that were /opt/provenv; the third prints the records of the packages installed
there.
"""

import asyncio
import json
import os
import pathlib
import sys

import rattler
from rattler.repo_data import Gateway


async def install(inside, channel, cache, folder, specs):
    records = await rattler.solve(
        sources=[rattler.Channel(channel)],
        specs=specs,
        platforms=["linux-64", "noarch"],
        gateway=Gateway(cache_dir=cache),
        virtual_packages=[],
    )
    await rattler.install(
        records,
        folder,
        cache_dir=cache,
        platform=rattler.Platform("linux-64"),
        alternative_target_prefix=inside,
        show_progress=False,
    )


if sys.argv[1].startswith("install"):
    _, how, channel, cache, folder, *specs = sys.argv
    asyncio.run(install("/opt/provenv" if how == "install-inside" else None, channel, cache, folder, specs))
else:
    paths = sorted(pathlib.Path(sys.argv[2], "conda-meta").glob("*.json"))
    print(json.dumps([json.loads(rattler.PrefixRecord.from_path(path).to_json()) for path in paths]))

# py-rattler 0.28 may crash when Python ends.
sys.stdout.flush()
os._exit(0)

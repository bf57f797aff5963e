"""What `conda create` does, by py-rattler: CHANNEL CACHE PREFIX SPEC…; with `-` for PREFIX it only solves."""

import asyncio
import os
import sys

import rattler

channel, cache, prefix, *specs = sys.argv[1:]


async def main() -> None:
    glibc = rattler.GenericVirtualPackage(rattler.PackageName("__glibc"), rattler.Version("2.36"), rattler.BuildString("0"))
    records = await rattler.solve(
        sources=[rattler.Channel(channel)],
        specs=specs,
        platforms=["linux-64", "noarch"],
        gateway=rattler.Gateway(cache_dir=cache),
        virtual_packages=[glibc],
    )
    if prefix == "-":
        print(len(records))
    else:
        await rattler.install(records, prefix, cache_dir=cache, platform=rattler.Platform("linux-64"), show_progress=False)


asyncio.run(main())
sys.stdout.flush()
# Its threads have been seen to fault when Python takes itself down, after the work.
os._exit(0)

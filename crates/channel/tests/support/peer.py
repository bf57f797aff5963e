"""What py-rattler makes of a channel: it reads one form of its index, solves, and installs. The result is JSON on stdout."""

import argparse
import asyncio
import json

import rattler
from rattler.networking import Client
from rattler.repo_data import Gateway
from rattler.repo_data.gateway import SourceConfig

parser = argparse.ArgumentParser()
parser.add_argument("--channel", required=True)
parser.add_argument("--form", choices=["json", "zst", "shards"], required=True)
parser.add_argument("--cache", required=True)
parser.add_argument("--install")
parser.add_argument("specs", nargs="+")
arguments = parser.parse_args()

source = SourceConfig(
    zstd_enabled=arguments.form == "zst",
    bz2_enabled=False,
    sharded_enabled=arguments.form == "shards",
)
# Credentials are those of RATTLER_AUTH_FILE.
client = Client.authenticated_client()
gateway = Gateway(cache_dir=arguments.cache, default_config=source, client=client)


async def main():
    records = await rattler.solve(
        sources=[rattler.Channel(arguments.channel)],
        specs=arguments.specs,
        platforms=["linux-64", "noarch"],
        gateway=gateway,
        virtual_packages=[rattler.GenericVirtualPackage(rattler.PackageName("__glibc"), rattler.Version("2.36"), rattler.BuildString("0"))],
    )
    if arguments.install:
        await rattler.install(
            records, arguments.install, cache_dir=arguments.cache, platform=rattler.Subdir("linux-64"), client=client
        )
    print(json.dumps([json.loads(record.to_json()) for record in records]))


asyncio.run(main())

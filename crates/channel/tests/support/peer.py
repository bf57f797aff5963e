"""What py-rattler makes of a channel.

`solve` reads one form of its index, solves, and may install; the records are JSON on stdout. `index` writes the index of a folder.
"""

import argparse
import asyncio
import json
import os
import sys
import traceback

import rattler
import rattler.index
from rattler import Config
from rattler.networking import Client
from rattler.repo_data import Gateway
from rattler.repo_data.gateway import SourceConfig


async def solve(arguments):
    source = SourceConfig(
        zstd_enabled=arguments.form == "zst",
        bz2_enabled=False,
        sharded_enabled=arguments.form == "shards",
    )
    # Credentials are those of RATTLER_AUTH_FILE. Nobody knows the authority of the tests' servers.
    client = Client.from_config(Config.from_toml("tls-no-verify = true"))
    glibc = rattler.GenericVirtualPackage(
        rattler.PackageName("__glibc"), rattler.Version("2.36"), rattler.BuildString("0")
    )
    records = await rattler.solve(
        sources=[rattler.Channel(arguments.channel)],
        specs=arguments.specs,
        platforms=[arguments.platform, "noarch"],
        gateway=Gateway(cache_dir=arguments.cache, default_config=source, client=client),
        virtual_packages=[glibc],
    )
    if arguments.install:
        await rattler.install(
            records,
            arguments.install,
            cache_dir=arguments.cache,
            platform=rattler.Subdir(arguments.platform),
            execute_link_scripts=True,
            client=client,
        )
    print(json.dumps([json.loads(record.to_json()) for record in records]))


async def index(arguments):
    await rattler.index.index_fs(arguments.folder)


parser = argparse.ArgumentParser()
commands = parser.add_subparsers(required=True)
command = commands.add_parser("solve")
command.set_defaults(run=solve)
command.add_argument("--channel", required=True)
command.add_argument("--form", choices=["json", "zst", "shards"], required=True)
command.add_argument("--platform", required=True)
command.add_argument("--cache", required=True)
command.add_argument("--install")
command.add_argument("specs", nargs="+")
command = commands.add_parser("index")
command.set_defaults(run=index)
command.add_argument("folder")
arguments = parser.parse_args()

status = 0
try:
    asyncio.run(arguments.run(arguments))
except Exception:
    traceback.print_exc()
    status = 1
sys.stdout.flush()
sys.stderr.flush()
# py-rattler's threads may outlive the interpreter, and then bring it down while it ends.
os._exit(status)

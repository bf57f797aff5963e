"""Installs a conda environment by rattler from a channel of packages of a few bytes: FOLDER SPEC..."""

import asyncio
import hashlib
import io
import json
import os
import sys
import tarfile
from pathlib import Path

import rattler
import rattler.index

ROOT = Path(sys.argv[1])
CHANNEL = ROOT / "channel"
SITE = "lib/python3.11/site-packages"


def package(subdir, name, version, build, depends, files):
    index = {"name": name, "version": version, "build": build, "build_number": 0, "depends": depends, "subdir": subdir}
    if subdir == "noarch":
        index["noarch"] = "generic"
    paths = [
        {"_path": path, "path_type": "hardlink", "sha256": hashlib.sha256(text).hexdigest(), "size_in_bytes": len(text)}
        for path, text in files.items()
    ]
    members = {
        "info/index.json": json.dumps(index).encode(),
        "info/paths.json": json.dumps({"paths_version": 1, "paths": paths}).encode(),
        "info/files": "\n".join(files).encode(),
        **files,
    }
    (CHANNEL / subdir).mkdir(parents=True, exist_ok=True)
    with tarfile.open(CHANNEL / subdir / f"{name}-{version}-{build}.tar.bz2", "w:bz2") as archive:
        for path, text in members.items():
            member = tarfile.TarInfo(path)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))


def python_package(name, version):
    stem = f"{SITE}/{name.replace('-', '_')}"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\n"
    return {f"{stem}.py": b"", f"{stem}-{version}.dist-info/METADATA": metadata.encode()}


async def main():
    package("linux-64", "python", "3.11.7", "h0_0_cpython", [], {"bin/python3.11": b""})
    package("noarch", "pip", "24.0", "pyh0_0", ["python"], python_package("pip", "24.0"))
    package("linux-64", "left-pad", "1.2", "py311_0", ["python"], python_package("left-pad", "1.2"))
    await rattler.index.index_fs(CHANNEL)
    specs = sys.argv[2:]
    channel = rattler.Channel(CHANNEL.as_uri())
    records = await rattler.solve([channel], specs=specs, platforms=["linux-64", "noarch"], virtual_packages=[])
    await rattler.install(
        records,
        target_prefix=ROOT / "prefix",
        cache_dir=ROOT / "cache",
        platform=rattler.platform.Platform("linux-64"),
        requested_specs=[rattler.MatchSpec(spec)._match_spec for spec in specs],
    )


asyncio.run(main())
# Its threads outlive the interpreter otherwise.
sys.stdout.flush()
os._exit(0)

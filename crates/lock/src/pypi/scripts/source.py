"""Unpacks a source, if it is an archive, and says where it is and what its pyproject.toml holds.

What an archive would unpack to is counted before any of it is written.
"""

import bz2
import gzip
import json
import lzma
import os
import resource
import shutil
import sys
import tarfile
import zipfile

# As for wheels: an archive may unpack to so many bytes, and so many more for each byte it has, but never to more than
# the last. Real sources stay below 30 for each byte.
FLOOR, RATIO, CEILING = 64 << 20, 200, 4 << 30
MOST_MEMBERS = 200_000
# What reading may take: a dictionary of xz, or a header of tar, can ask for gigabytes.
MEMORY = 2 << 30
TARS = [(b"\x1f\x8b", "gz", gzip.open), (b"BZh", "bz2", bz2.open), (b"\xfd7zXZ\0", "xz", lzma.open)]


class Refused(Exception):
    pass


def count(sizes, most):
    """Adds up sizes of members, or of pieces of a stream: neither are many."""
    total = 0
    for number, size in enumerate(sizes, 1):
        total += size
        if total > most:
            raise Refused(f"it unpacks to more than {most >> 20} MiB, which no real source does")
        if number > MOST_MEMBERS:
            raise Refused(f"it has more than {MOST_MEMBERS} members")


def pieces(file):
    while size := len(file.read(1 << 20)):
        yield size


def unpack(path, folder):
    most = min(FLOOR + RATIO * os.path.getsize(path), CEILING)
    if path.lower().endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            count((member.file_size for member in archive.infolist()), most)
        shutil.unpack_archive(path, folder, "zip")
        return
    with open(path, "rb") as file:
        start = file.read(8)
    mode, opener = next(((mode, opener) for magic, mode, opener in TARS if start.startswith(magic)), ("", open))
    with opener(path, "rb") as file:
        count(pieces(file), most)
    with tarfile.open(path, "r:" + mode) as archive:
        count((member.size for member in archive), most)
        archive.extractall(folder, **({"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}))


source, subdirectory = sys.argv[1:]
if os.path.isfile(source):
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    try:
        unpack(source, "unpacked")
    except Refused as reason:
        json.dump({"refused": str(reason)}, sys.stdout)
        sys.exit()
    except MemoryError:
        json.dump({"refused": f"unpacking it takes more than {MEMORY >> 30} GiB of memory"}, sys.stdout)
        sys.exit()
    names = os.listdir("unpacked")
    source = os.path.abspath(os.path.join("unpacked", *(names if len(names) == 1 else [])))
source = os.path.normpath(os.path.join(source, subdirectory))
try:
    with open(os.path.join(source, "pyproject.toml"), encoding="utf-8") as file:
        pyproject = file.read()
except FileNotFoundError:
    pyproject = ""
json.dump({"source": source, "pyproject": pyproject}, sys.stdout)

"""Reads the eStargz layers of an OCI layout as the format's specification says, and checks every file of each by itself."""

import gzip
import hashlib
import io
import json
import pathlib
import struct
import sys
import tarfile
import zlib

root = pathlib.Path(sys.argv[1])
TYPES = {tarfile.REGTYPE: "reg", tarfile.DIRTYPE: "dir", tarfile.SYMTYPE: "symlink", tarfile.LNKTYPE: "hardlink"}


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def blob(digest):
    data = (root / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes()
    assert sha256(data) == digest, digest
    return data


def member(data, offset):
    """The one gzip member that begins there, and where it ends."""
    inflater = zlib.decompressobj(wbits=31)
    plain = inflater.decompress(data[offset:])
    assert inflater.eof, f"no whole gzip member at {offset}"
    return plain, len(data) - len(inflater.unused_data)


def footer(data):
    """Where the table of contents begins, by the 51 bytes at the end."""
    end = data[-51:]
    assert end[:4] == b"\x1f\x8b\x08\x04", end
    assert struct.unpack("<H", end[10:12]) == (26,) and end[12:14] == b"SG"
    assert struct.unpack("<H", end[14:16]) == (22,) and end[32:38] == b"STARGZ"
    assert member(data, len(data) - 51) == (b"", len(data)), "the footer is an empty member"
    return int(end[16:32], 16)


def check(layer, diff_id):
    data = blob(layer["digest"])
    at = footer(data)
    packed, end = member(data, at)
    assert end == len(data) - 51, "the table of contents is one member"
    archive = tarfile.open(fileobj=io.BytesIO(packed))
    names = archive.getnames()
    assert names == ["stargz.index.json"], names
    table = archive.extractfile("stargz.index.json").read()
    assert sha256(table) == layer["annotations"]["containerd.io/snapshot/stargz/toc.digest"]
    toc = json.loads(table)
    assert toc["version"] == 1

    tar = gzip.decompress(data)
    assert sha256(tar) == diff_id
    assert len(tar) == int(layer["annotations"]["io.containers.estargz.uncompressed-size"])
    members = tarfile.open(fileobj=io.BytesIO(tar)).getmembers()
    assert members[-1].name == "stargz.index.json", "it is the last entry"
    contents = tarfile.open(fileobj=io.BytesIO(tar))

    # A file and the pieces that follow it.
    files = []
    for entry in toc["entries"]:
        if entry["type"] == "chunk":
            files[-1][1].append(entry)
        else:
            files.append((entry, [entry]))
    assert len(files) == len(members) - 1
    offsets, checked, chunked, before = set(), 0, 0, 0
    for (entry, pieces), there in zip(files, members):
        assert entry["name"].rstrip("/") == there.name, (entry, there)
        assert entry["type"] == TYPES[there.type], entry
        assert (entry["mode"], entry["uid"], entry["gid"]) == (there.mode, there.uid, there.gid), entry
        assert entry["modtime"] == "1980-01-01T00:00:00Z" and there.mtime == 315532800
        if entry["type"] in ("symlink", "hardlink"):
            assert entry["linkName"] == there.linkname, entry
        if entry["type"] != "reg":
            continue
        assert entry.get("size", 0) == there.size, entry
        if there.size == 0:
            continue
        read = b""
        for piece in pieces:
            assert piece["name"] == entry["name"]
            assert piece.get("chunkOffset", 0) == len(read), piece
            size = piece.get("chunkSize", 0) or there.size - len(read)
            plain, _ = member(data, piece["offset"])
            assert len(plain) == size and sha256(plain) == piece["chunkDigest"], piece
            assert piece["offset"] not in offsets and piece["offset"] > before
            offsets.add(piece["offset"])
            before = piece["offset"]
            read += plain
        assert read == contents.extractfile(there).read(), entry["name"]
        assert sha256(read) == entry["digest"]
        checked += 1
        chunked += len(pieces) > 1
    landmark = [entry for entry, _ in files if entry["name"] == ".no.prefetch.landmark"]
    assert len(landmark) == 1 and member(data, landmark[0]["offset"])[0] == b"\x0f"
    return checked, chunked


manifest = json.loads((root / "index.json").read_text())["manifests"][0]
manifest = json.loads(blob(manifest["digest"]))
config = json.loads(blob(manifest["config"]["digest"]))
chunked = 0
for layer, diff_id in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
    files, more = check(layer, diff_id)
    chunked += more
    print(layer["digest"], files, "files")
print("all as the specification says;", f"{chunked} chunked" if chunked else "none in chunks")

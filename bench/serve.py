"""Time `provenv registry serve` beside Debian's docker-registry, on the same content, in one run on one machine.

Pulls under load (`wrk`): a manifest by tag and by digest, a small blob, a middle one. A big blob to one client and to four, and to
one when the page cache has forgotten it; nginx with `sendfile` sends the same file, and is the limit. Pushes of a big blob, and
of 64 at once with the most memory that the server ever had.

Servers are asked in turns, so that what else the machine does is everybody's. Raw results go to bench/runs/<date>-serve/.
Ratios are what counts: the machines are noisy.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import datetime
import hashlib
import http.client
import json
import os
import pathlib
import platform
import re
import shutil
import socket
import statistics
import subprocess
import tempfile
import time

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
SMALL, MIDDLE = 64 << 10, 10 << 20
AT_ONCE, EACH = 64, 16 << 20
NGINX = """\
worker_processes auto;
pid {work}/nginx.pid;
error_log {work}/nginx.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
  client_body_temp_path {work}/b; proxy_temp_path {work}/p; fastcgi_temp_path {work}/f;
  uwsgi_temp_path {work}/u; scgi_temp_path {work}/s;
  server {{ listen 127.0.0.1:{port}; root {work}/files; }}
}}
"""
DOCKER = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {work}/registry}}, delete: {{enabled: true}}}}
http: {{addr: '127.0.0.1:{port}'}}
"""


class Server:
    """A server that runs, and where."""

    def __init__(self, name: str, process: subprocess.Popen, port: int) -> None:
        self.name, self.process, self.port = name, process, port

    def peak(self) -> int:
        """The most memory it ever had, in bytes."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(name: str, port: int, command: list[str], **keywords):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **keywords)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None:
                raise SystemExit(f"{name} ended with {process.returncode}")
            time.sleep(0.1)
        yield Server(name, process, port)
    finally:
        process.terminate()
        process.wait()


def request(server: Server, method: str, path: str, body=None, headers=None) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, blocksize=1 << 20)
    connection.request(method, path, body=body, headers=headers or {})
    response = connection.getresponse()
    response.read()
    if response.status >= 300:
        raise SystemExit(f"{server.name}: {method} {path} is answered with {response.status}")
    return response


def push(server: Server, repository: str, file: pathlib.Path, digest: str) -> None:
    begun = request(server, "POST", f"/v2/{repository}/blobs/uploads/", headers={"Content-Length": "0"})
    place = re.sub(r"^https?://[^/]*", "", begun.headers["Location"])
    joint = "&" if "?" in place else "?"
    headers = {"Content-Length": str(file.stat().st_size), "Content-Type": "application/octet-stream"}
    with file.open("rb") as body:
        request(server, "PUT", f"{place}{joint}digest={digest}", body, headers)


def blob(folder: pathlib.Path, name: str, size: int) -> tuple[pathlib.Path, str]:
    """A file of bytes that nobody can compress, and its digest."""
    file, hasher, left = folder / name, hashlib.sha256(), size
    with file.open("wb") as out:
        while left:
            piece = os.urandom(min(left, 1 << 20))
            hasher.update(piece)
            out.write(piece)
            left -= len(piece)
    return file, f"sha256:{hasher.hexdigest()}"


def forget(folder: pathlib.Path) -> None:
    """Lets the page cache forget all files below `folder`."""
    os.sync()
    for file in folder.rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


class Bench:
    def __init__(self, seconds: int, repeat: int) -> None:
        self.seconds, self.repeat = seconds, repeat
        self.results: list[dict] = []

    def note(self, server: str, step: str, value: float, unit: str) -> None:
        self.results.append({"server": server, "step": step, "value": round(value, 3), "unit": unit})
        print(f"{step:<22} {server:<16} {value:12.1f} {unit}", flush=True)

    def wrk(self, server: Server, step: str, path: str) -> None:
        url = f"http://127.0.0.1:{server.port}{path}"
        command = ["wrk", "-t2", "-c16", "--timeout", "60s", f"-d{self.seconds}s", "-H", f"Accept: {MANIFEST}", url]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        if "Non-2xx" in said or "Socket errors" in said:
            raise SystemExit(f"{server.name}: {step} failed:\n{said}")
        self.note(server.name, step, float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1]), "requests/s")

    def curl(self, server: Server, step: str, path: str, size: int, clients: int = 1) -> None:
        url = f"http://127.0.0.1:{server.port}{path}"
        begun = time.perf_counter()
        curls = [subprocess.Popen(["curl", "-sfo", "/dev/null", url]) for _ in range(clients)]
        if any(curl.wait() for curl in curls):
            raise SystemExit(f"{server.name}: {step} failed")
        self.note(server.name, step, clients * size / (time.perf_counter() - begun) / 1e6, "MB/s")

    def summary(self) -> str:
        lines = ["| | provenv | docker-registry | nginx | to docker-registry | to nginx |", "|---|---|---|---|---|---|"]
        for step in dict.fromkeys(result["step"] for result in self.results):
            these = [result for result in self.results if result["step"] == step]
            unit = these[0]["unit"]
            middle = {
                name: statistics.median(values)
                for name in ("provenv", "docker-registry", "nginx")
                if (values := [result["value"] for result in these if result["server"] == name])
            }
            shown = [f"{middle[name]:.0f}" if name in middle else "" for name in ("provenv", "docker-registry", "nginx")]
            ratio = lambda name: f"{middle['provenv'] / middle[name]:.2f}" if name in middle else ""
            lines.append(f"| {step}, {unit} | " + " | ".join([*shown, ratio("docker-registry"), ratio("nginx")]) + " |")
        return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--provenv", required=True)
    parser.add_argument("--seconds", type=int, default=10, help="of load, each time")
    parser.add_argument("--repeat", type=int, default=3, help="how often each is asked")
    parser.add_argument("--big", type=int, default=1024, help="MiB of the big blob")
    arguments = parser.parse_args()
    bench = Bench(arguments.seconds, arguments.repeat)
    with tempfile.TemporaryDirectory(prefix="provenv-serve-") as folder, contextlib.ExitStack() as stack:
        work = pathlib.Path(folder)
        # nginx's workers are another user.
        work.chmod(0o755)
        run(bench, work, arguments, stack)
    name = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H%M%SZ-serve")
    target = pathlib.Path(__file__).parent / "runs" / name
    target.mkdir(parents=True)
    machine = {"machine": platform.machine(), "kernel": platform.release(), "processors": os.cpu_count()}
    text = json.dumps({"date": name, "machine": machine, "results": bench.results}, indent=1)
    (target / "results.json").write_text(text + "\n")
    (target / "summary.md").write_text(bench.summary())
    print("\n" + bench.summary() + f"raw results: bench/runs/{name}")


def run(bench: Bench, work: pathlib.Path, arguments: argparse.Namespace, stack: contextlib.ExitStack) -> None:
    files = work / "files"
    files.mkdir()
    config = files / "config"
    config.write_bytes(b"{}")
    empty = f"sha256:{hashlib.sha256(b'{}').hexdigest()}"
    (small, small_digest), (middle, middle_digest) = blob(files, "small", SMALL), blob(files, "middle", MIDDLE)
    size = arguments.big << 20
    big, big_digest = blob(files, "big", size)
    layer = "application/vnd.oci.image.layer.v1.tar"
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": empty, "size": 2},
            "layers": [
                {"mediaType": layer, "digest": digest, "size": file.stat().st_size}
                for file, digest in ((small, small_digest), (middle, middle_digest), (big, big_digest))
            ],
        }
    ).encode()
    (files / "manifest").write_bytes(manifest)
    digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"

    port = free_port()
    environment = os.environ | {"PROVENV_WORKSPACE": str(work / "workspace")}
    command = [arguments.provenv, "registry", "serve", "--listen", f"127.0.0.1:{port}", "--anonymous-push"]
    own = stack.enter_context(running("provenv", port, command, env=environment))
    port = free_port()
    (work / "registry.yml").write_text(DOCKER.format(work=work, port=port))
    environment = os.environ | {"OTEL_TRACES_EXPORTER": "none"}
    command = ["docker-registry", "serve", str(work / "registry.yml")]
    peer = stack.enter_context(running("docker-registry", port, command, env=environment))
    port = free_port()
    (work / "nginx.conf").write_text(NGINX.format(work=work, port=port))
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    limit = stack.enter_context(running("nginx", port, [nginx, "-c", str(work / "nginx.conf"), "-g", "daemon off;"]))
    registries = (own, peer)

    for server in registries:
        begun = time.perf_counter()
        push(server, "tea", big, big_digest)
        bench.note(server.name, "push a big blob", size / (time.perf_counter() - begun) / 1e6, "MB/s")
        for file, name in ((config, empty), (small, small_digest), (middle, middle_digest)):
            push(server, "tea", file, name)
        headers = {"Content-Type": MANIFEST, "Content-Length": str(len(manifest))}
        request(server, "PUT", "/v2/tea/manifests/1", manifest, headers)
    blobs = [("blob of 64 KiB", small_digest, "/small"), ("blob of 10 MiB", middle_digest, "/middle")]
    for _ in range(bench.repeat):
        for server in registries:
            bench.wrk(server, "manifest by tag", "/v2/tea/manifests/1")
            bench.wrk(server, "manifest by digest", f"/v2/tea/manifests/{digest}")
        bench.wrk(limit, "manifest by digest", "/manifest")
        for step, name, file in blobs:
            for server in registries:
                bench.wrk(server, step, f"/v2/tea/blobs/{name}")
            bench.wrk(limit, step, file)
        for server in (*registries, limit):
            path = "/big" if server is limit else f"/v2/tea/blobs/{big_digest}"
            # The one before has let the page cache forget this one's file too.
            subprocess.run(["curl", "-sfo", "/dev/null", f"http://127.0.0.1:{server.port}{path}"], check=True)
            bench.curl(server, "big blob", path, size)
            bench.curl(server, "big blob, 4 clients", path, size, 4)
            forget(work)
            bench.curl(server, "big blob, from disk", path, size)

    # Different bytes each, in the first of them.
    body = [index.to_bytes(4, "big") + bytes(EACH - 4) for index in range(AT_ONCE)]
    for server in registries:
        def upload(index: int, server=server) -> None:
            file = work / f"{server.name}-{index}"
            file.write_bytes(body[index])
            push(server, f"many{index}", file, f"sha256:{hashlib.sha256(body[index]).hexdigest()}")
            file.unlink()

        begun = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(upload, range(AT_ONCE)))
        bench.note(server.name, f"push {AT_ONCE} at once", AT_ONCE * EACH / (time.perf_counter() - begun) / 1e6, "MB/s")
        bench.note(server.name, "most memory", server.peak() / 1e6, "MB")


if __name__ == "__main__":
    main()

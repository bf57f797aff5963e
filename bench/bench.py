"""Time Provenv beside buildah, podman and docker on one piece of work, in one run on one machine.

The work: Debian 12 with its Python, and numpy, pandas and scikit-learn from PyPI; at the end an OCI layout on disk. Then the
same with nothing changed, then with `requests` added, then `python -c pass` in the result.

Peers begin from a base image made of the same Debian packages by mmdebstrap, which is timed apart. Provenv makes its base
itself within `cold`. Raw results (one JSON a run, with every command, its time, its peak memory and its exit code) go to
bench/runs/<date>/. Ratios are what counts: the machines are noisy.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

PACKAGES = ["numpy", "pandas", "scikit-learn"]
ADDED = "requests"
# How often the long steps of Provenv are run; those of the peers take ten times as long and are run once.
FEW = 3
CONTAINERFILE = """\
FROM localhost/pybase:1
COPY ca.pem /ca.pem
COPY requirements.txt /r.txt
RUN PIP_CERT=/ca.pem pip install --break-system-packages --no-cache-dir -r /r.txt
CMD ["python3"]
"""
ENVIRONMENT = """\
name: bench
base: debian/bookworm
python: "3.11"
system_packages: [libgomp1]
pip: [{packages}]
"""


class Recorder:
    """Runs commands and remembers how long each took, in seconds, and its peak memory, in bytes."""

    def __init__(self, work: pathlib.Path) -> None:
        self.work = work
        self.results: list[dict] = []

    def time(self, tool: str, step: str, command: list[str], **keywords) -> float:
        log = self.work / f"{tool}-{step}.log"
        with log.open("ab") as output:
            start = time.perf_counter()
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, **keywords)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - start
        code = os.waitstatus_to_exitcode(status)
        process.returncode = code
        self.results.append(
            {
                "tool": tool,
                "step": step,
                "seconds": round(seconds, 4),
                # The largest process of the command, not the sum of all.
                "peak_memory": usage.ru_maxrss * 1024,
                "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 4),
                "exit_code": code,
                "command": command,
            }
        )
        print(f"{tool:<10} {step:<14} {seconds:9.3f} s" + ("" if code == 0 else f"  exit code {code}, see {log}"))
        sys.stdout.flush()
        if code != 0:
            raise StepFailed(f"{tool} {step} failed with exit code {code}:\n{log.read_text(errors='replace')[-2000:]}")
        return seconds

    def save(self, target: pathlib.Path, summary, names: dict[str, str]) -> None:
        """Keeps the raw results in the folder `target` with what `summary` makes of them; `names` hides paths of this machine."""
        if not self.results:
            return
        target.mkdir(parents=True)
        machine = {
            "machine": platform.machine(),
            "kernel": platform.release(),
            "processors": os.cpu_count(),
            "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        }
        text = json.dumps({"date": target.name, "machine": machine, "results": self.results}, indent=1)
        # Where the bench ran says nothing to anybody else.
        for path, name in ({str(self.work): "$WORK"} | names).items():
            text = text.replace(path, name)
        (target / "results.json").write_text(text + "\n")
        (target / "summary.md").write_text(summary(self.results))
        print("\n" + summary(self.results))
        print(f"raw results: bench/runs/{target.name}")


class StepFailed(Exception):
    """A command of the bench failed."""


def provenv(recorder: Recorder, binary: str, limit: str | None, repeat: int) -> None:
    work = recorder.work / "provenv"
    work.mkdir()
    definition = work / "environment.yaml"
    define = lambda packages: definition.write_text(ENVIRONMENT.format(packages=", ".join(packages)))
    workspace = work / "workspace"
    environment = os.environ | {"PROVENV_WORKSPACE": str(workspace)}
    build = [binary, "build", str(definition), "--to", f"oci:{work / 'oci'}:app"]
    run = lambda step, command: recorder.time("provenv", step, command, env=environment, cwd=work)

    define(PACKAGES)
    for time_ in range(FEW):
        if time_ > 0:
            # Aside and not away: a file system that has just deleted thousands of files makes new ones slowly.
            workspace.rename(work / f"workspace-{time_}")
        run("cold", build)
    for _ in range(repeat):
        run("no-change", build)
    for _ in range(FEW):
        run("assemble", [*build, "--force"])
        if limit:
            limits(recorder, binary, limit, definition, environment, work)
    run("first-start", [binary, "run", str(definition), "--", "python", "-c", "pass"])
    for _ in range(repeat):
        run("start", [binary, "run", str(definition), "--", "python", "-c", "pass"])
    define([*PACKAGES, ADDED])
    run("add-package", build)


def limits(recorder: Recorder, binary: str, limit: str, definition: pathlib.Path, environment: dict, work: pathlib.Path) -> None:
    """What this machine needs for the bytes and modules alone that assembling handles."""
    lock = work / "lock.json"
    subprocess.run([binary, "lock", str(definition), "-f", str(lock)], env=environment, check=True, capture_output=True)
    folder = work / "artifacts"
    folder.mkdir(exist_ok=True)
    blobs = pathlib.Path(environment["PROVENV_WORKSPACE"]) / "store" / "blobs" / "sha256"
    for artifact in artifacts(json.loads(lock.read_text())):
        digest = artifact["sha256"].removeprefix("sha256:")
        link = folder / artifact["url"].rsplit("/", 1)[1].split("#")[0]
        if not link.exists():
            link.symlink_to(blobs / digest[:2] / digest[2:])
    report = json.loads(subprocess.check_output([limit, *map(str, sorted(folder.iterdir()))], env=environment))
    script = pathlib.Path(__file__).with_name("compile_limit.py")
    roots = ["/opt/provenv/lib", "/usr/lib/python3.11", "/usr/lib/python3/dist-packages"]
    shutil.copy(script, work)
    compiling = [binary, "run", str(definition), "--", "python", "-S", script.name, *roots]
    seconds = float(subprocess.check_output(compiling, env=environment, cwd=work, stderr=subprocess.DEVNULL))
    for step, value in [("bytes", report["limit_seconds"]), ("segments", report["made_seconds"]), ("compile", seconds)]:
        recorder.results.append({"tool": "limit", "step": step, "seconds": round(value, 4), "peak_memory": 0, "exit_code": 0})
        print(f"{'limit':<10} {step:<14} {value:9.3f} s")


def artifacts(value) -> list[dict]:
    """Everything in a lock that has a URL and a digest."""
    if isinstance(value, list):
        return [found for item in value for found in artifacts(item)]
    if not isinstance(value, dict):
        return []
    own = [value] if "url" in value and "sha256" in value else []
    return own + [found for item in value.values() for found in artifacts(item)]


def container_tool(recorder: Recorder, tool: str, command: list[str], export, start, base: pathlib.Path, repeat: int) -> None:
    work = recorder.work / tool
    context = work / "context"
    context.mkdir(parents=True)
    requirements = context / "requirements.txt"
    (context / "Containerfile").write_text(CONTAINERFILE)
    # Where a company's or a laboratory's own certificates are needed, the peers need them inside.
    shutil.copy(os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"), context / "ca.pem")
    requirements.write_text("\n".join(PACKAGES) + "\n")
    build = [*command, "-t", "localhost/app:1", "-f", str(context / "Containerfile"), str(context)]

    recorder.time(tool, "cold", build)
    recorder.time(tool, "cold-export", export(work / "oci"))
    for _ in range(repeat):
        recorder.time(tool, "no-change", build)
    if start:
        for _ in range(repeat):
            recorder.time(tool, "start", start)
    requirements.write_text("\n".join([*PACKAGES, ADDED]) + "\n")
    recorder.time(tool, "add-package", build)
    recorder.time(tool, "add-export", export(work / "oci"))


def buildah(recorder: Recorder, base: pathlib.Path, repeat: int) -> None:
    work = recorder.work / "buildah"
    work.mkdir()
    tool = ["buildah", "--root", str(work / "store"), "--runroot", str(work / "run"), "--storage-driver", "overlay"]
    script = f'c=$({" ".join(tool)} from scratch) && {" ".join(tool)} add -q $c {base} / && {" ".join(tool)} commit -q $c localhost/pybase:1'
    recorder.time("buildah", "import", ["sh", "-c", script])
    container_tool(
        recorder,
        "buildah",
        [*tool, "bud", "--layers", "--isolation", "chroot", "--network", "host"],
        lambda target: [*tool, "push", "-q", "localhost/app:1", f"oci:{target}:app"],
        None,
        base,
        repeat,
    )


def podman(recorder: Recorder, base: pathlib.Path, repeat: int) -> None:
    work = recorder.work / "podman"
    work.mkdir()
    tool = ["podman", "--root", str(work / "store"), "--runroot", str(work / "run"), "--storage-driver", "overlay"]
    tool += ["--cgroup-manager", "cgroupfs", "--runtime", "runc"]
    recorder.time("podman", "import", [*tool, "import", "-q", str(base), "localhost/pybase:1"])
    limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096", "--network", "host"]
    container_tool(
        recorder,
        "podman",
        [*tool, "build", "--layers", "--isolation", "chroot", "--network", "host"],
        lambda target: [*tool, "push", "-q", "localhost/app:1", f"oci:{target}:app"],
        [*tool, "run", "--rm", *limits, "localhost/app:1", "python3", "-c", "pass"],
        base,
        repeat,
    )


def docker(recorder: Recorder, base: pathlib.Path, repeat: int) -> None:
    work = recorder.work / "docker"
    work.mkdir()
    socket = work / "docker.sock"
    daemon = ["dockerd", "-H", f"unix://{socket}", "--data-root", str(work / "data"), "--exec-root", str(work / "exec")]
    daemon += ["--pidfile", str(work / "pid"), "--bridge=none", "--iptables=false", "--ip6tables=false"]
    daemon += ["--storage-driver", "overlay2"]
    with (work / "dockerd.log").open("wb") as log:
        server = subprocess.Popen(["unshare", "-m", *daemon], stdout=log, stderr=log)
    tool = ["docker", "-H", f"unix://{socket}"]
    try:
        for _ in range(120):
            if subprocess.run([*tool, "version"], capture_output=True).returncode == 0:
                break
            time.sleep(0.25)
        else:
            raise StepFailed("dockerd did not start:\n" + (work / "dockerd.log").read_text()[-2000:])
        recorder.time("docker", "import", [*tool, "import", str(base), "localhost/pybase:1"])
        save = "{docker} save localhost/app:1 -o {tar} && skopeo copy -q docker-archive:{tar} oci:{target}:app"
        container_tool(
            recorder,
            "docker",
            [*tool, "build", "--network", "host"],
            lambda target: ["sh", "-c", save.format(docker=" ".join(tool), tar=work / "app.tar", target=target)],
            None,
            base,
            repeat,
        )
    finally:
        server.terminate()
        server.wait()


PEERS = {"buildah": buildah, "podman": podman, "docker": docker}


def make_base(recorder: Recorder) -> pathlib.Path:
    """The peers' base, as a tar: Debian's minimal system with Python and pip."""
    base = recorder.work / "pybase.tar"
    packages = "python3,python3-pip,python3-venv,ca-certificates"
    recorder.time(
        "mmdebstrap", "base", ["mmdebstrap", "--variant=minbase", f"--include={packages}", "bookworm", str(base)]
    )
    return base


def median(results: list[dict], tool: str, *steps: str) -> float | None:
    """Sum over `steps` of each step's median; None where one was not measured."""
    total = 0.0
    for step in steps:
        seconds = [r["seconds"] for r in results if r["tool"] == tool and r["step"] == step]
        if not seconds:
            return None
        total += statistics.median(seconds)
    return total


def summary(results: list[dict]) -> str:
    rows = [
        ("cold", ("cold",), ("cold", "cold-export")),
        ("cold, the peers' base included", ("cold",), None),
        ("assemble, artifacts downloaded", ("assemble",), None),
        ("no change", ("no-change",), ("no-change",)),
        ("one package added", ("add-package",), ("add-package", "add-export")),
        ("start of python -c pass", ("start",), ("start",)),
    ]
    base = median(results, "mmdebstrap", "base")
    lines = ["| work | provenv | " + " | ".join(PEERS) + " | ratio to the best peer |", "|---|---|" + "---|" * (len(PEERS) + 1)]
    for name, ours, theirs in rows:
        mine = median(results, "provenv", *ours)
        peers = []
        for peer in PEERS:
            if name.startswith("cold, the"):
                value = median(results, peer, "import", "cold", "cold-export")
                value = value + base if value is not None and base is not None else None
            else:
                value = median(results, peer, *theirs) if theirs else None
            peers.append(value)
        known = [value for value in peers if value is not None]
        ratio = f"{min(known) / mine:.1f}" if mine and known else ""
        cell = lambda value: "" if value is None else f"{value:.3f} s"
        lines.append(f"| {name} | {cell(mine)} | " + " | ".join(map(cell, peers)) + f" | {ratio} |")
    peak = max((r["peak_memory"] for r in results if r["tool"] == "provenv"), default=0)
    lines.append("")
    least, segments, compiling = (median(results, "limit", step) for step in ("bytes", "segments", "compile"))
    assemble = median(results, "provenv", "assemble")
    if None not in (least, segments, compiling, assemble):
        lines.append(
            f"Inflating, compressing and hashing the bytes of those artifacts, and nothing else, takes this machine {least:.3f} s;"
            f" making segments of them {segments:.3f} s ({segments / least:.2f} times that). Compiling their modules, and nothing"
            f" else, takes {compiling:.3f} s. Assembling the image takes {assemble:.3f} s: {assemble / least:.2f} times the first,"
            f" {assemble / (least + compiling):.2f} times both."
        )
        lines.append("")
    lines.append(f"Peak memory of Provenv's largest process: {peak / 2**20:.0f} MiB.")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--provenv", required=True, help="the binary")
    parser.add_argument("--limit", help="the example program `limit` of the crate provenv-image")
    parser.add_argument("--only", default="provenv,buildah,podman,docker", help="what to run, by comma")
    parser.add_argument("--repeat", type=int, default=5, help="how often the short steps are run")
    parser.add_argument("--keep", action="store_true", help="keep the working folder")
    arguments = parser.parse_args()
    chosen = arguments.only.split(",")

    date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H%M%SZ")
    target = pathlib.Path(__file__).parent / "runs" / date
    work = pathlib.Path(tempfile.mkdtemp(prefix="provenv-bench-"))
    recorder = Recorder(work)
    failures = []
    try:
        if "provenv" in chosen:
            provenv(recorder, arguments.provenv, arguments.limit, arguments.repeat)
        if any(peer in chosen for peer in PEERS):
            base = make_base(recorder)
            for name, run in PEERS.items():
                if name not in chosen:
                    continue
                if not shutil.which("dockerd" if name == "docker" else name):
                    print(f"{name} is not installed: left out")
                    continue
                try:
                    run(recorder, base, arguments.repeat)
                except StepFailed as failure:
                    failures.append(str(failure))
                    print(failure)
    finally:
        recorder.save(target, summary, {arguments.provenv: "provenv"})
        if not arguments.keep:
            shutil.rmtree(work, ignore_errors=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

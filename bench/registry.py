"""Time pushes to a registry and pulls from it beside skopeo, buildah and podman, on one machine, in one run.

One registry for all: Debian's docker-registry on the loopback, each tool in a repository of its own. The image is Debian 12 with
its Python, and numpy, pandas and scikit-learn from PyPI: ours, and that of buildah, which installs the same packages on the same
Debian packages. Then with `requests` added.

    push-new        to a repository that does not exist
    push-unchanged  the same image again
    push-added      the image with one package more, to the same repository
    push-mounted    the image to another repository of the registry (provenv alone: the others are not told where layers are)
    pull-start      `podman run` of `python3 -c pass` from the registry, its storage empty
    find            a workspace with an empty store finds the image by its definition (provenv alone)
    find-start      the same, and runs `python -c pass` in it (provenv alone)

`provenv-zstd` is our image with layers in zstd, which podman pulls too.

skopeo pushes our image from an OCI layout, buildah its own from its storage, where layers are not compressed: `buildah push` makes
them anew each time. Raw results go to bench/runs/<date>/. Ratios are what counts: the machines are noisy.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import bench

LIMITS = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096", "--network", "host"]
STEPS = ["push-new", "push-unchanged", "push-added", "push-mounted", "pull-start", "find", "find-start"]
OURS = ["provenv", "provenv-zstd"]
TOOLS = [*OURS, "skopeo", "buildah"]


class Registry:
    """Debian's docker-registry, with storage in the working folder."""

    def __init__(self, work: pathlib.Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.host = f"127.0.0.1:{port}"
        config = work / "registry.yml"
        config.write_text(
            "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
            f"storage: {{filesystem: {{rootdirectory: {work / 'registry'}}}, delete: {{enabled: true}}}}\n"
            f"http: {{addr: '{self.host}'}}\n"
        )
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        environment = os.environ | {"OTEL_TRACES_EXPORTER": "none"}
        self.process = subprocess.Popen(["docker-registry", "serve", str(config)], env=environment, **quiet)
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://{self.host}/v2/", timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise bench.StepFailed("docker-registry does not answer")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def provenv(recorder: bench.Recorder, binary: str, registry: Registry, packages: list[str], repeat: int) -> pathlib.Path:
    """Builds our images and pushes them; gives back the folder with the definition."""
    work = recorder.work / "provenv"
    work.mkdir()
    definition = work / "environment.yaml"
    define = lambda wanted: definition.write_text(bench.ENVIRONMENT.format(packages=", ".join(wanted)))
    environment = os.environ | {"PROVENV_WORKSPACE": str(work / "workspace")}
    prepare = lambda *arguments: subprocess.run(
        [binary, *arguments], env=environment, cwd=work, check=True, capture_output=True
    )
    push = lambda name: [binary, "image", "push", str(definition), f"{registry.host}/{name}"]
    run = lambda step, command: recorder.time("provenv", step, command, env=environment, cwd=work)

    define([*packages, bench.ADDED])
    prepare("build", str(definition), "--to", f"oci:{work / 'oci'}:added")
    define(packages)
    prepare("build", str(definition), "--to", f"oci:{work / 'oci'}:app")
    for number in range(bench.FEW):
        # What was pushed is remembered; a new repository is to be new.
        fresh = work / f"workspace-{number}"
        subprocess.run(["cp", "-al", str(work / "workspace"), str(fresh)], check=True)
        for file in (work / "workspace").glob("catalogue.db*"):
            # Written in place, unlike all in the store.
            (fresh / file.name).unlink()
            shutil.copy(file, fresh)
        again = os.environ | {"PROVENV_WORKSPACE": str(fresh)}
        recorder.time("provenv", "push-new", push(f"provenv/new{number}:1"), env=again, cwd=work)
        with_blobs_gone(registry, recorder)
    prepare("image", "push", str(definition), f"{registry.host}/provenv/app:1")
    zstd = json.loads(prepare("build", str(definition), "--compression", "zstd", "-o", "json").stdout)["image"]
    prepare("image", "push", zstd, f"{registry.host}/provenv/zstd:1")
    for _ in range(repeat):
        run("push-unchanged", push("provenv/app:1"))
    for number in range(bench.FEW):
        run("push-mounted", push(f"provenv/mounted{number}:1"))
    define([*packages, bench.ADDED])
    before = stored(recorder)
    run("push-added", push("provenv/app:2"))
    print(f"provenv    push-added   ships {(stored(recorder) - before) / 2**20:.2f} MiB")
    define(packages)
    return work


def with_blobs_gone(registry: Registry, recorder: bench.Recorder) -> None:
    """Empties the registry: a blob that any repository has is found by no HEAD, but written faster."""
    shutil.rmtree(recorder.work / "registry", ignore_errors=True)


def stored(recorder: bench.Recorder) -> int:
    """Bytes of all files in the registry."""
    return sum(file.stat().st_size for file in (recorder.work / "registry").rglob("*") if file.is_file())


def find(recorder: bench.Recorder, binary: str, registry: Registry, work: pathlib.Path, repeat: int) -> None:
    definition = str(work / "environment.yaml")
    settings = os.environ | {"PROVENV_CACHE_REGISTRY": f"{registry.host}/team/environments"}
    environment = settings | {"PROVENV_WORKSPACE": str(work / "workspace")}
    subprocess.run([binary, "build", definition, "--push"], env=environment, check=True, capture_output=True)
    for number in range(repeat):
        environment = settings | {"PROVENV_WORKSPACE": str(work / f"found-{number}")}
        recorder.time("provenv", "find", [binary, "build", definition], env=environment, cwd=work)
    for number in range(bench.FEW):
        environment = settings | {"PROVENV_WORKSPACE": str(work / f"started-{number}")}
        start = [binary, "run", definition, "--", "python", "-c", "pass"]
        recorder.time("provenv", "find-start", start, env=environment, cwd=work)


def skopeo(recorder: bench.Recorder, registry: Registry, layout: pathlib.Path, repeat: int) -> None:
    copy = lambda tag, name: ["skopeo", "--insecure-policy", "copy", "-q", "--dest-tls-verify=false", f"oci:{layout}:{tag}", f"docker://{registry.host}/{name}"]
    for number in range(bench.FEW):
        recorder.time("skopeo", "push-new", copy("app", f"skopeo/new{number}:1"))
        with_blobs_gone(registry, recorder)
    subprocess.run(copy("app", "skopeo/app:1"), check=True, capture_output=True)
    for _ in range(repeat):
        recorder.time("skopeo", "push-unchanged", copy("app", "skopeo/app:1"))
    recorder.time("skopeo", "push-added", copy("added", "skopeo/app:2"))


def buildah(recorder: bench.Recorder, registry: Registry, packages: list[str], repeat: int) -> None:
    work = recorder.work / "buildah"
    context = work / "context"
    context.mkdir(parents=True)
    tool = ["buildah", "--root", str(work / "store"), "--runroot", str(work / "run"), "--storage-driver", "overlay"]
    quiet = {"check": True, "capture_output": True}
    base = bench.make_base(recorder)
    script = f'c=$({" ".join(tool)} from scratch) && {" ".join(tool)} add -q $c {base} / && {" ".join(tool)} commit -q $c localhost/pybase:1'
    subprocess.run(["sh", "-c", script], **quiet)
    (context / "Containerfile").write_text(bench.CONTAINERFILE)
    shutil.copy(os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"), context / "ca.pem")
    for tag, wanted in [("added", [*packages, bench.ADDED]), ("app", packages)]:
        (context / "requirements.txt").write_text("\n".join(wanted) + "\n")
        build = ["bud", "--layers", "--isolation", "chroot", "--network", "host", "-t", f"localhost/app:{tag}"]
        subprocess.run([*tool, *build, "-f", str(context / "Containerfile"), str(context)], **quiet)
    push = lambda tag, name: [*tool, "push", "-q", "--tls-verify=false", f"localhost/app:{tag}", f"docker://{registry.host}/{name}"]
    recorder.time("buildah", "push-new", push("app", "buildah/new:1"))
    with_blobs_gone(registry, recorder)
    subprocess.run(push("app", "buildah/app:1"), **quiet)
    for _ in range(repeat):
        recorder.time("buildah", "push-unchanged", push("app", "buildah/app:1"))
    recorder.time("buildah", "push-added", push("added", "buildah/app:2"))


def pull(recorder: bench.Recorder, registry: Registry, tool: str, name: str) -> None:
    """Starts an image from the registry in a podman whose storage is empty."""
    for number in range(bench.FEW):
        # podman takes no more than 50 characters for a folder of its state.
        work = recorder.work / f"{tool}-{number}"
        podman = ["podman", "--root", str(work / "store"), "--runroot", str(work / "run"), "--storage-driver", "overlay"]
        podman += ["--cgroup-manager", "cgroupfs", "--runtime", "runc"]
        start = [*podman, "run", "--rm", "-q", "--tls-verify=false", *LIMITS, f"{registry.host}/{name}", "python3", "-c", "pass"]
        recorder.time(tool, "pull-start", start)


def summary(results: list[dict]) -> str:
    lines = ["| work | " + " | ".join(TOOLS) + " | ratio to the best peer |", "|---|" + "---|" * (len(TOOLS) + 1)]
    for step in STEPS:
        values = [bench.median(results, tool, step) for tool in TOOLS]
        peers = [value for value in values[len(OURS):] if value is not None]
        ratio = f"{min(peers) / values[0]:.1f}" if peers and values[0] else ""
        cell = lambda value: "" if value is None else f"{value:.3f} s"
        lines.append(f"| {step} | " + " | ".join(map(cell, values)) + f" | {ratio} |")
    peak = max((r["peak_memory"] for r in results if r["tool"] in OURS), default=0)
    lines += ["", f"Peak memory of Provenv's largest process: {peak / 2**20:.0f} MiB."]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--provenv", required=True, help="the binary")
    parser.add_argument("--packages", default=",".join(bench.PACKAGES), help="what is in the image, by comma")
    parser.add_argument("--only", default=",".join([*TOOLS, "podman"]), help="what to run, by comma; provenv in any case")
    parser.add_argument("--repeat", type=int, default=5, help="how often the short steps are run")
    parser.add_argument("--keep", action="store_true", help="keep the working folder")
    arguments = parser.parse_args()
    chosen, packages = arguments.only.split(","), arguments.packages.split(",")

    date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H%M%SZ")
    target = pathlib.Path(__file__).parent / "runs" / date
    work = pathlib.Path(tempfile.mkdtemp(prefix="provenv-bench-"))
    recorder = bench.Recorder(work)
    registry = Registry(work)
    failures = []

    def step(does) -> None:
        try:
            does()
        except bench.StepFailed as failure:
            failures.append(str(failure))
            print(failure)

    try:
        ours = provenv(recorder, arguments.provenv, registry, packages, arguments.repeat)
        step(lambda: find(recorder, arguments.provenv, registry, ours, arguments.repeat))
        if "podman" in chosen:
            step(lambda: pull(recorder, registry, "provenv", "provenv/app:1"))
            step(lambda: pull(recorder, registry, "provenv-zstd", "provenv/zstd:1"))
        if "skopeo" in chosen:
            step(lambda: skopeo(recorder, registry, ours / "oci", arguments.repeat))
        if "buildah" in chosen:
            step(lambda: buildah(recorder, registry, packages, arguments.repeat))
            if "podman" in chosen:
                step(lambda: pull(recorder, registry, "buildah", "buildah/app:1"))
    finally:
        registry.stop()
        recorder.save(target, summary, {arguments.provenv: "provenv"})
        if not arguments.keep:
            shutil.rmtree(work, ignore_errors=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

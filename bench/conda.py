"""Time Provenv beside py-rattler, and beside buildah with pip, on conda environments of 200 and 300 packages, in one run on one machine.

The channel is made once (`.cache/bench-channel`): Debian's Python 3.11 and its libraries, and the wheels that `conda-300.txt`
and `conda-older.txt` list, as conda packages. It is read as a folder, so that no network is timed. Raw results go to
bench/runs/<date>-conda/.
"""

from __future__ import annotations

import argparse
import datetime
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from bench import FEW, Recorder, StepFailed, limits, make_base, median

HERE = pathlib.Path(__file__).parent
RATTLER = "py-rattler==0.28.0"
# What moves in the environment of 200 packages, and what it moves to.
CHANGED = "requests"
CONTAINERFILE = """\
FROM localhost/pybase:1
COPY requirements.txt /r.txt
RUN pip install --break-system-packages --no-index --find-links /wheels --no-deps -r /r.txt
CMD ["python3"]
"""


def pins(name: str) -> dict[str, str]:
    """`name==version` a line."""
    lines = (HERE / name).read_text().split()
    return dict(line.split("==") for line in lines)


def specs(wanted: dict[str, str]) -> list[str]:
    # As conda has it, `tzdata` is the data itself.
    return ["python=3.11", *(f"{name}={version}" for name, version in wanted.items() if name != "tzdata")]


def environment(channel: pathlib.Path, wanted: dict[str, str]) -> str:
    packages = "".join(f"- {spec}\n" for spec in specs(wanted))
    return f"name: bench\nchannels:\n- {channel.as_uri()}\ndependencies:\n{packages}"


def provenv(recorder: Recorder, binary: str, limit: str | None, channel: pathlib.Path, repeat: int) -> None:
    work = recorder.work / "provenv"
    work.mkdir()
    variables = os.environ | {"PROVENV_WORKSPACE": str(work / "workspace")}
    run = lambda step, *arguments: recorder.time("provenv", step, [binary, *arguments], env=variables, cwd=work)

    base = work / "base.yaml"
    # A small environment, so that Debian's packages are there: of them the other bench speaks.
    base.write_text(environment(channel, {"idna": pins("conda-300.txt")["idna"]}))
    run("base", "build", str(base))

    large = work / "large.yaml"
    large.write_text(environment(channel, pins("conda-300.txt")))
    run("lock", "lock", str(large))
    for _ in range(repeat):
        run("lock-again", "lock", str(large))
    run("first", "build", str(large))
    for _ in range(FEW):
        run("assemble", "build", str(large), "--force")
        if limit:
            limits(recorder, binary, limit, large, variables, work)
    for _ in range(repeat):
        run("no-change", "build", str(large))

    small = work / "small.yaml"
    wanted = pins("conda-200.txt")
    small.write_text(environment(channel, wanted))
    run("small", "build", str(small))
    small.write_text(environment(channel, wanted | pins("conda-older.txt")))
    run("change", "build", str(small))


def rattler(recorder: Recorder, python: pathlib.Path, channel: pathlib.Path, repeat: int) -> None:
    """`conda create` as rattler does it: no image, and no bytecode."""
    work = recorder.work / "rattler"
    work.mkdir()

    def run(step: str, wanted: dict[str, str], prefix: str | None, cache: str) -> None:
        command = [str(python), str(HERE / "rattler_peer.py"), channel.as_uri(), str(work / cache)]
        command += [str(work / prefix) if prefix else "-", *specs(wanted)]
        recorder.time("rattler", step, command)

    large, small = pins("conda-300.txt"), pins("conda-200.txt")
    for n in range(FEW):
        run("lock", large, None, f"solving-{n}")
    for n in range(FEW):
        run("first", large, f"large-{n}", f"cache-{n}")
    run("small", small, "small", "cache-0")
    # The archives are unpacked: what is timed is making the links anew.
    run("fetch-change", small | pins("conda-older.txt"), "small-warm", "cache-0")
    for n in range(FEW):
        run("change", small | pins("conda-older.txt"), f"small-{n}", "cache-0")


def buildah(recorder: Recorder, wheels: pathlib.Path, base: pathlib.Path) -> None:
    work = recorder.work / "buildah"
    context = work / "context"
    context.mkdir(parents=True)
    tool = ["buildah", "--root", str(work / "store"), "--runroot", str(work / "run"), "--storage-driver", "overlay"]
    script = f'c=$({" ".join(tool)} from scratch) && {" ".join(tool)} add -q $c {base} / && {" ".join(tool)} commit -q $c localhost/pybase:1'
    recorder.time("buildah", "import", ["sh", "-c", script])
    (context / "Containerfile").write_text(CONTAINERFILE)
    build = [*tool, "bud", "--layers", "--isolation", "chroot", "--network", "host", "-v", f"{wheels}:/wheels:ro"]
    build += ["-t", "localhost/app:1", "-f", str(context / "Containerfile"), str(context)]
    for step, wanted in [("small", pins("conda-200.txt")), ("change", pins("conda-200.txt") | pins("conda-older.txt"))]:
        lines = [f"{name}=={version}\n" for name, version in wanted.items()]
        (context / "requirements.txt").write_text("".join(lines))
        recorder.time("buildah", step, build)
        recorder.time("buildah", f"{step}-export", [*tool, "push", "-q", "localhost/app:1", f"oci:{work / 'oci'}:app"])


def once(folder: pathlib.Path, commands) -> pathlib.Path:
    """Makes `folder` by commands that are given the name it has until it is whole; what was made before stays."""
    if not folder.exists():
        making = folder.with_name(f"{folder.name}.making")
        shutil.rmtree(making, ignore_errors=True)
        making.parent.mkdir(parents=True, exist_ok=True)
        for command in commands(making):
            subprocess.run(command, check=True)
        making.rename(folder)
    return folder


def rows(results: list[dict]) -> str:
    work = [
        ("lock 300 packages", ["lock"], {"rattler": ["lock"]}),
        ("lock, nothing changed", ["lock-again"], {}),
        ("lock and 300 packages (rattler: a prefix, without bytecode)", ["lock", "first"], {"rattler": ["first"]}),
        ("300 packages assembled again", ["assemble"], {}),
        ("no change", ["no-change"], {}),
        ("one package of 200 changed", ["change"], {"rattler": ["change"], "buildah": ["change", "change-export"]}),
    ]
    lines = ["| work | provenv | rattler | buildah and pip | ratio |", "|---|---|---|---|---|"]
    for name, ours, theirs in work:
        mine = median(results, "provenv", *ours)
        cells, ratios = [], []
        for peer in ("rattler", "buildah"):
            value = median(results, peer, *theirs[peer]) if peer in theirs else None
            cells.append("" if value is None else f"{value:.3f} s")
            if value and mine:
                ratios.append(f"{value / mine:.2f}")
        lines.append(f"| {name} | {f'{mine:.3f} s' if mine else ''} | {' | '.join(cells)} | {', '.join(ratios)} |")
    lines.append("")
    least, segments, compiling = (median(results, "limit", step) for step in ("bytes", "segments", "compile"))
    assemble = median(results, "provenv", "assemble")
    if None not in (least, segments, compiling, assemble):
        lines.append(
            f"Inflating, compressing and hashing the bytes of those archives takes this machine {least:.3f} s, making segments of them"
            f" {segments:.3f} s, compiling their modules {compiling:.3f} s. Assembling takes {assemble:.3f} s:"
            f" {assemble / least:.2f} times the first, {assemble / (least + compiling):.2f} times first and last together."
        )
    peak = max((r["peak_memory"] for r in results if r["tool"] == "provenv"), default=0)
    lines.append(f"Peak memory of Provenv's largest process: {peak / 2**20:.0f} MiB.")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--provenv", required=True, help="the binary")
    parser.add_argument("--limit", required=True, help="the example program `limit` of the crate provenv-image")
    parser.add_argument("--channel", required=True, help="the example program `real_channel` of the crate provenv-channel")
    parser.add_argument("--only", default="provenv,rattler,buildah", help="what to run, by comma")
    parser.add_argument("--repeat", type=int, default=5, help="how often the short steps are run")
    parser.add_argument("--keep", action="store_true", help="keep the working folder")
    arguments = parser.parse_args()
    chosen = arguments.only.split(",")

    cache = HERE.parent / ".cache" / "bench-channel"
    lists = [str(HERE / name) for name in ("conda-300.txt", "conda-older.txt")]
    made = once(cache / "channel", lambda folder: [[arguments.channel, str(folder), *lists]])
    channel = (made / "real").absolute()
    pip = lambda folder: [str(folder / "bin" / "python"), "-m", "pip"]
    virtual = lambda folder: [[sys.executable, "-m", "venv", str(folder)], [*pip(folder), "install", "-q", RATTLER]]
    # Scripts in it name their own place, and none is run.
    python = once(cache / "venv", virtual) / "bin" / "python"
    wheels = cache / "wheels"
    if "buildah" in chosen:
        target = ["--python-version", "3.11", "--platform", "manylinux_2_28_x86_64", "--platform", "manylinux_2_17_x86_64"]
        download = [str(python), "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", *target, "--dest"]
        wheels = once(
            wheels,
            lambda folder: [
                [*download, str(folder), "-r", str(HERE / name)] for name in ("conda-200.txt", "conda-older.txt")
            ],
        )

    date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H%M%SZ") + "-conda"
    target = HERE / "runs" / date
    work = pathlib.Path(tempfile.mkdtemp(prefix="provenv-bench-"))
    recorder = Recorder(work)
    failures = []
    try:
        runs = {
            "provenv": lambda: provenv(recorder, arguments.provenv, arguments.limit, channel, arguments.repeat),
            "rattler": lambda: rattler(recorder, python.absolute(), channel, arguments.repeat),
            "buildah": lambda: buildah(recorder, wheels.absolute(), make_base(recorder)),
        }
        for name in chosen:
            try:
                runs[name]()
            except StepFailed as failure:
                failures.append(str(failure))
                print(failure)
    finally:
        recorder.save(target, rows, {arguments.provenv: "provenv", str(HERE.parent.absolute()): "$PROVENV"})
        if not arguments.keep:
            shutil.rmtree(work, ignore_errors=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Times the conda solve beside py-rattler: the same channel, the same environments, reading the index included.

    cargo build --release -p provenv-lock --example conda_solve && cargo build --release -p provenv
    bench/conda_solve.py CHANNEL_FOLDER --provenv target/release/provenv

Both begin each time with nothing known of the index, in one process of their own, so that neither the start of a program nor
what the other left in memory counts. They take turns, environment by environment being one turn. Raw results go to
`bench/runs/<date>-conda/results.json`.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import venv

ROOT = pathlib.Path(__file__).resolve().parent.parent
SPECS = ROOT / "crates/lock/tests/conda/ml-specs.txt"
PEER = ROOT / "crates/lock/tests/conda/peer.py"
TARGET = [["__unix", "0", "0"], ["__linux", "5.10", "0"], ["__glibc", "2.36", "0"], ["__archspec", "1", "x86_64"]]


def peer_python(folder):
    venv.create(folder, with_pip=True)
    python = folder / "bin/python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", "py-rattler==0.28.0"],
                   check=True)
    return python


def question(line):
    words = line.split()
    declared = [word.split("=") for word in words if word.startswith("__")]
    virtual = TARGET + [(one + ["0"])[:3] for one in declared]
    return {"specs": [word for word in words if not word.startswith("__")], "virtual": virtual}


def nothing_changed(provenv, channel, folder, repeat):
    """Wall seconds of `provenv lock` where the definition has a lock already."""
    (folder / "environment.yml").write_text(
        f"name: bench\nchannels: [{channel}]\ndependencies: [python=3.11, numpy, pandas, scikit-learn, jupyterlab]\n")
    command = [provenv, "lock", "environment.yml"]
    environment = os.environ | {"PROVENV_WORKSPACE": str(folder / "workspace")}
    run = lambda: subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    run()
    seconds = []
    for _ in range(repeat):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return seconds


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("channel", type=pathlib.Path)
    arguments.add_argument("--provenv", type=pathlib.Path)
    arguments.add_argument("--solve", type=pathlib.Path, default=ROOT / "target/release/examples/conda_solve")
    arguments.add_argument("--repeat", type=int, default=5)
    arguments = arguments.parse_args()
    channel = arguments.channel.resolve().as_uri()
    lines = [line for line in SPECS.read_text().splitlines() if not line.startswith("#")]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        python = peer_python(folder / "venv")
        rows = []
        for line in lines:
            (folder / "line.txt").write_text(line + "\n")
            ours = json.loads(subprocess.run(
                [arguments.solve, channel, folder / "line.txt", str(arguments.repeat)],
                check=True, capture_output=True, text=True).stdout)[0]
            theirs = json.loads(subprocess.run(
                [python, PEER, channel, str(arguments.repeat)], input=json.dumps([question(line)]),
                check=True, capture_output=True, text=True).stdout)[0]
            if "chosen" in theirs:
                rows.append({"environment": line, "packages": ours["packages"],
                             "provenv": ours["seconds"], "py_rattler": theirs["seconds"]})
        unchanged = nothing_changed(arguments.provenv.resolve(), channel, folder, 20) if arguments.provenv else []
    ratios = [min(row["provenv"]) / min(row["py_rattler"]) for row in rows]
    results = {
        "machine": {"platform": platform.platform(), "processors": os.cpu_count(), "load": os.getloadavg()},
        "py_rattler": "0.28.0",
        "rows": rows,
        "lock_with_nothing_changed": unchanged,
        "ratio_of_the_best_times": {"median": statistics.median(ratios), "largest": max(ratios)},
    }
    stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H%M%SZ")
    place = ROOT / "bench/runs" / f"{stamp}-conda"
    place.mkdir(parents=True)
    (place / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    print(f"{len(rows)} environments; provenv to py-rattler: median {statistics.median(ratios):.2f}, "
          f"largest {max(ratios):.2f}")
    if unchanged:
        print(f"lock with nothing changed: {statistics.median(unchanged) * 1000:.0f} ms")
    print(place)


if __name__ == "__main__":
    sys.exit(main())

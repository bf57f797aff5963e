"""What py-rattler chooses: questions as JSON on stdin, answers as JSON on stdout.

A question is `{"specs": [...], "virtual": [[name, version, build], ...]}`; its answer is `{"chosen": [...], "seconds": [...]}`
with `name version build` of each package and what each repetition took for reading the index and solving, or `{"error": ...}`.
"""

import asyncio
import json
import os
import sys
import time

import rattler
from rattler.exceptions import SolverError
from rattler.repo_data import Gateway


async def ask(channel, question):
    virtual = [
        rattler.GenericVirtualPackage(
            rattler.PackageName(name), rattler.Version(version), rattler.BuildString(build))
        for name, version, build in question["virtual"]
    ]
    start = time.perf_counter()
    # A new gateway: nothing is known of the index yet.
    records = await rattler.solve(
        sources=[rattler.Channel(channel)],
        specs=question["specs"],
        platforms=["linux-64", "noarch"],
        gateway=Gateway(),
        virtual_packages=virtual,
    )
    seconds = time.perf_counter() - start
    chosen = [f"{record.name.normalized} {record.version} {record.build}" for record in records]
    return sorted(chosen), seconds


async def main():
    channel, repeat = sys.argv[1], int(sys.argv[2])
    answers = []
    for question in json.load(sys.stdin):
        try:
            runs = [await ask(channel, question) for _ in range(repeat)]
        except SolverError as error:
            answers.append({"error": str(error)})
            continue
        answers.append({"chosen": runs[0][0], "seconds": [seconds for _, seconds in runs]})
    json.dump(answers, sys.stdout)


asyncio.run(main())
# py-rattler 0.28 may crash while the interpreter is taken down around its threads.
sys.stdout.flush()
os._exit(0)

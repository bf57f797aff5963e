"""Puts something into a server that runs: `put.py URL TOKEN`. Says in JSON what is there then, by places in paths."""

import json
import pathlib
import sys
import urllib.request

NAMES = [f"tea-{number:02}" for number in range(40)]
WORKSPACE = "/api/v1/workspaces/default"


def ask(method, path, body=None, kind="application/json"):
    """What the server answers, in JSON."""
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    request = urllib.request.Request(sys.argv[1] + path, body, method=method)
    request.add_header("Authorization", f"Bearer {sys.argv[2]}")
    request.add_header("Content-Type", kind)
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def main():
    lock, version = map(
        json.loads, pathlib.Path(__file__).with_name("versions.ndjson").read_text().splitlines()
    )
    lines = [lock]
    for name in NAMES:
        for variable in ("one", "two"):
            environment = version["environment"] | {
                "name": name,
                "environment_variables": {"CUP": variable},
            }
            lines.append(version | {"environment": environment})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    ask("POST", WORKSPACE + "/import", text.encode(), "application/x-ndjson")
    details = ask("GET", f"{WORKSPACE}/environments/{NAMES[0]}/versions/1")
    jobs = [ask("POST", f"{WORKSPACE}/environments/{name}/versions/1/build")["id"] for name in NAMES[:1]]
    runs = [f"run-{number}" for number in range(10)]
    for run in runs:
        begun = {
            "id": run,
            "name": "brew",
            "environment": f"{NAMES[0]}:1",
            "image": details["lock"],
            "job": {},
            "started_at": "2026-07-01T09:30:00Z",
        }
        ask("POST", WORKSPACE + "/runs", begun)
        log = f"{WORKSPACE}/runs/{run}/log?offset=0"
        ask("PUT", log, b"hot\n", "application/octet-stream")
    for name in NAMES:
        ask("PUT", f"{WORKSPACE}/environments/{name}/labels/prod", {"version": "1"})
    there = {
        "workspace": ["default"],
        "name": NAMES,
        "version": ["1", "2", "@latest", "@prod"],
        "label": ["prod"],
        "user": ["somebody"],
        "level": ["0"],
        "n": ["000"],
        "m": ["000.p", "001"],
        "jobs": jobs,
        "runs": runs,
        "definitions": [details["definition_digest"]],
    }
    print(json.dumps(there))


main()

"""A workspace on a server that runs: the same calls as for a folder."""

from __future__ import annotations

import pathlib
import subprocess
from collections.abc import Iterator

import pytest

import provenv
from provenv import _executable, errors


@pytest.fixture
def served(tmp_path: pathlib.Path) -> Iterator[tuple[str, str]]:
    """The URL of a server's workspace, and a token."""
    program = _executable.find()
    if program is None:
        pytest.skip("the executable `provenv` is not installed beside the package: PROVENV_EXECUTABLE names one")
    command = [program, "serve", "--root", tmp_path / "served", "--listen", "127.0.0.1:0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = token = None
    for line in server.stdout:
        words = line.split()
        if words[0] == "serving":
            url = words[-1]
        if words[0] == "token":
            token = words[1]
            break
    try:
        assert url is not None and token is not None, "the server ended before it said where it serves"
        yield f"{url}/default", token
    finally:
        server.terminate()
        server.communicate()


def test_a_server_has_what_was_registered(served: tuple[str, str]) -> None:
    url, token = served
    workspace = provenv.Workspace.connect(url, token)
    assert (workspace.url, workspace.name) == (url, "default")
    assert provenv.Environment.list(workspace) == {}
    made = provenv.Environment("digits")
    made.python.conda_dependencies.add_pip_package("six==1.16.0")
    made.tags["team"] = "vision"
    registered = made.register(workspace)
    assert (registered.name, registered.version) == ("digits", "1")
    assert registered.digest() == made.digest()
    assert made.register(workspace).version == "1", "the same content is the same version"
    # Whoever else opens it finds the same.
    found = provenv.Environment.get(provenv.Workspace.connect(url, token), "digits")
    assert found.tags == {"team": "vision"}
    assert list(found.python.conda_dependencies.pip_packages) == ["six==1.16.0"]
    provenv.Environment.label(workspace, "digits", "1", ["prod"])
    assert provenv.Environment.get(workspace, "digits", label="prod").version == "1"
    assert list(workspace.environments) == ["digits"]
    with pytest.raises(errors.NotFoundError) as raised:
        provenv.Environment.get(workspace, "nowhere")
    assert raised.value.code == "environment-not-found"


def test_a_server_does_not_let_everybody(served: tuple[str, str]) -> None:
    url, _ = served
    with pytest.raises(errors.AccessError) as raised:
        provenv.Environment.list(provenv.Workspace.connect(url, "pvt_of-nobody"))
    assert raised.value.hint


def test_a_server_that_is_away_is_said() -> None:
    # The port of nobody: 1 is kept for what no machine runs.
    with pytest.raises(errors.ServerError) as raised:
        provenv.Environment.list(provenv.Workspace.connect("http://127.0.0.1:1/default", "pvt_x"))
    assert raised.value.code == "unreachable"

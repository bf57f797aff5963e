"""What tests share: a workspace of their own, and nothing of the user's."""

from __future__ import annotations

import os
import pathlib

import pytest

import provenv


@pytest.fixture(autouse=True)
def apart(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings, tokens or workspace of whoever runs the tests."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for variable in [name for name in os.environ if name.startswith(("XDG_", "PROVENV_"))]:
        if variable not in ("PROVENV_EXECUTABLE",):
            monkeypatch.delenv(variable)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> provenv.Workspace:
    """A workspace with a lock or two, where it does not matter what else is in it."""
    return provenv.Workspace.local(tmp_path_factory.mktemp("workspace"))


@pytest.fixture
def workspace(tmp_path: pathlib.Path) -> provenv.Workspace:
    """An empty workspace."""
    return provenv.Workspace.local(tmp_path / "workspace")

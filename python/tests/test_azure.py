"""The same calls of azureml-core itself and of Provenv come to the same."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

PEER = pathlib.Path(__file__).with_name("azure_peer.py")
WANTED = ["azureml-core==1.61.0.post4", "setuptools<81"]


@pytest.fixture(scope="session")
def azureml() -> str:
    """A Python that has azureml-core; installed once, as that takes a minute."""
    python = next((found for minor in (11, 10, 9) if (found := shutil.which(f"python3.{minor}"))), None)
    if python is None:
        pytest.skip("azureml-core is not for later Pythons, and there is no Python 3.9 to 3.11")
    folder = pathlib.Path(os.environ.get("PROVENV_PYTHON_PEERS", PEER.parents[2] / ".cache" / "azureml"))
    executable = folder / "bin" / "python"
    if not executable.exists():
        partial = folder.with_name(folder.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        subprocess.run([python, "-m", "venv", "--copies", partial], check=True)
        installed = subprocess.run([partial / "bin" / "python", "-m", "pip", "install", "-q", *WANTED])
        if installed.returncode != 0:
            pytest.skip("azureml-core cannot be had from the index")
        partial.rename(folder)
    return str(executable)


def said(python: str, which: str) -> dict[str, object]:
    done = subprocess.run([python, PEER, which], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_conda_dependencies_are_those_of_azureml(azureml: str) -> None:
    theirs, ours = said(azureml, "azureml"), said(sys.executable, "provenv")
    assert len(theirs) > 20
    assert {name: ours[name] for name in theirs} == theirs

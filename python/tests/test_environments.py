"""Environments: made, registered, found again; with Debian's archive and PyPI as they are."""

from __future__ import annotations

import pathlib

import pytest

import provenv
from provenv import errors

CONDA = """\
name: digits
dependencies:
  - pip:
      - six==1.16.0
"""


def test_a_conda_file_is_registered_and_found_again(shared: provenv.Workspace, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "environment.yml"
    file.write_text(CONDA)
    made = provenv.Environment.from_conda_specification("digits", file)
    made.environment_variables["SEED"] = "1"
    registered = made.register(shared)
    assert (registered.name, registered.version) == ("digits", "1")
    assert registered.digest() == made.digest()
    again = made.register(shared)
    assert again.version == "1", "the same content is the same version"
    found = provenv.Environment.get(shared, "digits")
    assert found.environment_variables == {"SEED": "1"}
    assert list(found.python.conda_dependencies.pip_packages) == ["six==1.16.0"]
    found.python.conda_dependencies.add_pip_package("six==1.17.0")
    assert found.digest() != registered.digest()
    found.version = None
    assert found.register(shared).version == "2"
    assert provenv.Environment.get(shared, "digits", version="1").digest() == made.digest()
    assert provenv.Environment.list(shared)["digits"].version == "2"
    assert shared.environments.keys() == {"digits"}


def test_what_is_not_there_is_said(workspace: provenv.Workspace) -> None:
    with pytest.raises(errors.NotFoundError) as raised:
        provenv.Environment.get(workspace, "nowhere")
    assert raised.value.code == "environment-not-found"
    assert "nowhere" in str(raised.value)
    assert raised.value.hint
    with pytest.raises(errors.ArgumentError, match="Only one of version or label"):
        provenv.Environment.get(workspace, "nowhere", version="1", label="prod")


def test_misspelt_attributes_are_refused() -> None:
    environment = provenv.Environment("digits")
    with pytest.raises(errors.UnknownAttributeError) as raised:
        environment.docker.base_imge = "python:3.12"
    assert "did you mean `base_image`?" in str(raised.value)
    with pytest.raises(AttributeError, match="no attribute `pyton`"):
        environment.pyton = None


def test_a_wrong_file_is_quoted(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("six=>1\n")
    with pytest.raises(errors.DefinitionError) as raised:
        provenv.Environment.from_pip_requirements("broken", file)
    remark = raised.value.remarks[0]
    assert remark["severity"] == "error"
    assert remark["span"]["line"] == 1

"""Copies, and folders and files that environments and conda dependencies are written to."""

from __future__ import annotations

import pathlib

import pytest

import provenv
from provenv import errors


def an_environment() -> provenv.Environment:
    made = provenv.Environment("digits")
    made.python.conda_dependencies.add_channel("conda-forge")
    made.python.conda_dependencies.add_conda_package("python=3.11")
    made.python.conda_dependencies.add_pip_package("six==1.16.0")
    made.environment_variables["SEED"] = "1"
    return made


def test_a_folder_gives_back_what_was_saved(tmp_path: pathlib.Path) -> None:
    made = an_environment()
    made.docker.base_dockerfile = "FROM debian:bookworm\nRUN true\n"
    made.save_to_directory(tmp_path / "saved")
    assert sorted(file.name for file in (tmp_path / "saved").iterdir()) == [
        "BaseDockerfile",
        "azureml_environment.json",
        "conda_dependencies.yml",
    ]
    loaded = provenv.Environment.load_from_directory(tmp_path / "saved")
    assert loaded.name == "digits"
    assert loaded.environment_variables == {"SEED": "1"}
    assert loaded.docker.base_dockerfile == "FROM debian:bookworm\nRUN true\n"
    assert list(loaded.python.conda_dependencies.conda_packages) == ["python=3.11"]
    assert loaded.digest() == made.digest()
    with pytest.raises(FileExistsError):
        made.save_to_directory(tmp_path / "saved")
    made.save_to_directory(tmp_path / "saved", overwrite=True)


def test_a_clone_is_changed_alone() -> None:
    made = an_environment()
    other = made.clone("letters")
    other.python.conda_dependencies.add_pip_package("idna==3.7")
    other.environment_variables["SEED"] = "2"
    assert other.name == "letters"
    assert list(made.python.conda_dependencies.pip_packages) == ["six==1.16.0"]
    assert made.environment_variables == {"SEED": "1"}
    assert made.digest() != other.digest()
    with pytest.raises(errors.ArgumentError):
        made.clone("")


def test_conda_dependencies_are_read_as_written(tmp_path: pathlib.Path) -> None:
    made = provenv.CondaDependencies.create(
        pip_packages=["six==1.16.0"], conda_packages=["numpy"], python_version="3.11"
    )
    made.save_to_file(tmp_path, "conda.yml")
    again = provenv.CondaDependencies(tmp_path / "conda.yml")
    assert again == made
    assert again.get_python_version() == "3.11"
    (tmp_path / "list.yml").write_text("- numpy\n")
    with pytest.raises(errors.ArgumentError, match="not a valid YAML structure"):
        provenv.CondaDependencies(tmp_path / "list.yml")

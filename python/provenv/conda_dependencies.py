"""Packages of conda and pip, with the operations of ``azureml.core.conda_dependencies``."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any, Optional, Union

from provenv.errors import ArgumentError

#: What conda environments are called in files; the name counts for nothing.
_NAME = "project_environment"
_KEYS = ("name", "channels", "dependencies", "prefix", "variables")
_PYTHON = re.compile(r"(\d+)\.(\d+)(\.(\d+))?([ab](\d+))?$")
_HEADER = """\
# Conda environment specification. The dependencies defined in this file will
# be automatically provisioned for runs with userManagedDependencies=False.

# Details about the Conda environment file format:
# https://conda.io/docs/user-guide/tasks/manage-environments.html#create-env-file-manually

"""


class CondaDependencies:
    """What conda and pip are given.

    Args:
        conda_dependencies_file_path: a conda environment file to begin with; without one, nothing is asked for.
    """

    DEFAULT_NUMBER_OF_CHANNELS = 0

    def __init__(
        self,
        conda_dependencies_file_path: Optional[Union[str, os.PathLike[str]]] = None,
        _underlying_structure: Optional[dict[str, Any]] = None,
    ) -> None:
        if conda_dependencies_file_path is not None and _underlying_structure is None:
            _underlying_structure = _read(conda_dependencies_file_path)
        if _underlying_structure is None:
            _underlying_structure = {"name": _NAME, "dependencies": []}
        self._said = copy.deepcopy(_checked(_underlying_structure))

    @staticmethod
    def create(
        pip_indexurl: Optional[str] = None,
        pip_packages: Optional[Iterable[str]] = None,
        conda_packages: Optional[Iterable[str]] = None,
        python_version: Optional[str] = None,
        pin_sdk_version: bool = True,
    ) -> CondaDependencies:
        """Packages of both.

        Args:
            pip_indexurl: the index that replaces the default one.
            pip_packages: requirements of pip.
            conda_packages: specs of conda.
            python_version: conda's Python, such as ``3.11``; without it, what conda's packages bring or the base has.
            pin_sdk_version: without effect: no package of Azure ML's is added.
        """
        made = CondaDependencies()
        if python_version is not None:
            made.set_python_version(python_version)
        for package in pip_packages or ():
            made.add_pip_package(package)
        for package in conda_packages or ():
            made.add_conda_package(package)
        if pip_indexurl is not None:
            made.set_pip_index_url(pip_indexurl)
        return made

    @staticmethod
    def merge_requirements(requirements: Iterable[str]) -> list[str]:
        """Requirements of the same package as one: ``a>=1`` and ``a<2`` are ``a>=1,<2``."""
        merged: dict[str, list[str]] = {}
        for requirement in requirements:
            name = re.match(r"[^\s<>=!~;]*", requirement.strip())
            key = name.group() if name else requirement
            bound = requirement.strip()[len(key) :].strip()
            bounds = merged.setdefault(key, [])
            if bound and bound not in bounds:
                bounds.append(bound)
        return [name + ",".join(bounds) for name, bounds in merged.items()]

    # What is there.

    @property
    def conda_channels(self) -> Iterator[str]:
        """The channels, first to last; a copy."""
        return iter(list(self._said.get("channels") or []))

    @property
    def conda_packages(self) -> Iterator[str]:
        """The specs of conda's packages, Python's included; a copy."""
        return iter([item for item in self._said["dependencies"] if isinstance(item, str)])

    @property
    def pip_packages(self) -> Iterator[str]:
        """The requirements of pip; a copy."""
        return iter([line for line in self._pip() if not line.startswith("-")])

    @property
    def pip_options(self) -> Iterator[str]:
        """The options of pip; a copy."""
        return iter([line for line in self._pip() if line.startswith("-")])

    @property
    def python_version(self) -> Optional[str]:
        """The version of conda's Python, if one is asked for."""
        for spec in self.conda_packages:
            if _is_python(spec):
                found = _PYTHON.search(spec)
                return found.group() if found else None
        return None

    def get_python_version(self) -> Optional[str]:
        """The same, as a method."""
        return self.python_version

    def as_dict(self) -> dict[str, Any]:
        """All of it, as a conda environment file says it; a copy."""
        return copy.deepcopy(self._said)

    # Conda's.

    def set_python_version(self, version: str) -> None:
        """Asks for conda's Python of this version, in place of another one."""
        spec = f"python={version}"
        items = self._said["dependencies"]
        for place, item in enumerate(items):
            if isinstance(item, str) and _is_python(item):
                items[place] = spec
                return
        items.insert(0, spec)

    def add_conda_package(self, conda_package: str) -> None:
        """Adds a spec, unless it is there to the letter. ``python=3.11`` sets the version of Python.

        Nothing is replaced: ``numpy=1.26`` beside ``numpy=1.25`` cannot be resolved, and is said so then.
        """
        if _is_python(conda_package):
            version = _PYTHON.search(conda_package)
            if version and re.fullmatch(r"python\s*={0,2}\s*" + re.escape(version.group()), conda_package.strip()):
                self.set_python_version(version.group())
                return
            # A range is kept as it is: to take its end for a version would ask for something else.
            self._said["dependencies"] = [
                item for item in self._said["dependencies"] if not (isinstance(item, str) and _is_python(item))
            ]
            self._said["dependencies"].insert(0, conda_package)
            return
        if conda_package not in self._said["dependencies"]:
            self._said["dependencies"].append(conda_package)

    def remove_conda_package(self, conda_package: str) -> None:
        """Takes a spec away, if it is there to the letter."""
        if _is_python(conda_package) and conda_package in self._said["dependencies"]:
            raise ArgumentError(
                "python must not be removed from conda dependencies", hint="`set_python_version` asks for another one"
            )
        self._said["dependencies"] = [item for item in self._said["dependencies"] if item != conda_package]

    def add_channel(self, channel: str) -> None:
        """Adds a channel at the end, unless it is there."""
        channels = self._said.setdefault("channels", [])
        if channel not in channels:
            channels.append(channel)

    def remove_channel(self, channel: str) -> None:
        """Takes a channel away, if it is there."""
        self._said["channels"] = [known for known in self._said.get("channels") or [] if known != channel]

    # Pip's.

    def add_pip_package(self, pip_package: str) -> None:
        """Adds a requirement at the end, in place of one of the same package."""
        if pip_package.startswith("-"):
            raise ArgumentError(f"Invalid package name {pip_package}", hint="options are set by `set_pip_option`")
        name = _package_name(pip_package)
        lines = [line for line in self._pip() if line.startswith("-") or _package_name(line) != name]
        self._set_pip([*lines, pip_package])

    def remove_pip_package(self, pip_package: str) -> None:
        """Takes the requirement of a package away, whatever its version."""
        name = _package_name(pip_package)
        self._set_pip([line for line in self._pip() if line.startswith("-") or _package_name(line) != name])

    def set_pip_requirements(self, pip_requirements: Iterable[str]) -> None:
        """Takes these lines, options included, in place of all that pip was given."""
        self._set_pip(list(pip_requirements))

    def set_pip_option(self, pip_option: str) -> None:
        """Adds an option of pip, in place of one that begins with the same word."""
        word = _option_word(pip_option)
        lines = self._pip()
        for place, line in enumerate(lines):
            if line.startswith("-") and _option_word(line) == word:
                lines[place] = pip_option
                break
        else:
            lines.append(pip_option)
        self._set_pip(lines)

    def remove_pip_option(self, pip_option: str) -> None:
        """Takes an option away, whatever its value."""
        word = _option_word(pip_option)
        self._set_pip([line for line in self._pip() if not (line.startswith("-") and _option_word(line) == word)])

    def set_pip_index_url(self, index_url: str) -> None:
        """Takes packages from this index: ``https://…``, or ``--index-url https://…``."""
        self.set_pip_option(index_url if index_url.startswith("-") else f"--index-url {index_url}")

    def add_tensorflow_pip_package(self, core_type: str = "cpu", version: str = "2.2.0") -> None:
        """Asks for TensorFlow of pip, for ``cpu`` or ``gpu``."""
        self.remove_pip_package("tensorflow")
        self.remove_pip_package("tensorflow-gpu")
        self.add_pip_package(f"{_tensorflow(core_type)}=={version}")

    def add_tensorflow_conda_package(self, core_type: str = "cpu", version: str = "2.2.0") -> None:
        """Asks for TensorFlow of conda, for ``cpu`` or ``gpu``."""
        self.add_conda_package(f"{_tensorflow(core_type)}={version}")

    # Files.

    def serialize_to_string(self) -> str:
        """The text of a conda environment file."""
        import json

        from provenv import _native

        return _HEADER + _native.yaml_of_json(json.dumps(self._said))

    def save_to_file(self, base_directory: Union[str, os.PathLike[str]], conda_file_path: str = "conda_dependencies.yml") -> str:
        """Writes it into a folder.

        Returns:
            The file's path below the folder.
        """
        path = os.path.join(base_directory, conda_file_path)
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        self.save(path)
        return conda_file_path

    def save(self, path: Optional[Union[str, os.PathLike[str]]] = None) -> str:
        """Writes it to a file, ``conda_dependencies.yml`` by default.

        Returns:
            The file's path.
        """
        file = os.fspath(path) if path is not None else "conda_dependencies.yml"
        with open(file, "w", encoding="utf-8") as opened:
            opened.write(self.serialize_to_string())
        return file

    def _pip(self) -> list[str]:
        for item in self._said["dependencies"]:
            if isinstance(item, dict) and "pip" in item:
                return list(item["pip"] or [])
        return []

    def _set_pip(self, lines: list[str]) -> None:
        items = self._said["dependencies"]
        for item in items:
            if isinstance(item, dict) and "pip" in item:
                item["pip"] = lines
                return
        if lines:
            items.append({"pip": lines})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CondaDependencies) and self._said == other._said

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"CondaDependencies({self._said!r})"


def _read(path: Union[str, os.PathLike[str]]) -> dict[str, Any]:
    import json

    from provenv import _native

    with open(path, encoding="utf-8-sig") as file:
        text = file.read()
    said = json.loads(_native.json_of_yaml(text, os.fspath(path)))
    if said is not None and not isinstance(said, dict):
        raise ArgumentError(
            "Environment error: not a valid YAML structure", hint="a conda environment file is a mapping with `dependencies`"
        )
    return said or {}


def _checked(said: dict[str, Any]) -> dict[str, Any]:
    for key in said:
        if key not in _KEYS:
            raise ArgumentError(
                f"Environment error: unknown {key} key in environment specification", hint=f"conda knows {', '.join(_KEYS)}"
            )
    dependencies = said.get("dependencies") or []
    if not isinstance(dependencies, list):
        raise ArgumentError("Environment error: `dependencies` is no list", hint="begin each package with `- `")
    return {**said, "dependencies": dependencies}


def _is_python(spec: str) -> bool:
    return re.match(r"python(?![\w.-])", spec.strip()) is not None


def _tensorflow(core_type: str) -> str:
    if core_type not in ("cpu", "gpu"):
        raise ArgumentError(f"there is no TensorFlow for `{core_type}`", hint="it is `cpu` or `gpu`")
    return "tensorflow" if core_type == "cpu" else "tensorflow-gpu"


def _option_word(option: str) -> str:
    if not option.startswith("-"):
        raise ArgumentError(f"Invalid pip option {option}", hint="options begin with `-`")
    return re.split(r"[\s=]", option, maxsplit=1)[0]


def _package_name(requirement: str) -> str:
    """The normal name (PEP 503) of what a line asks for; of a URL, that of its wheel."""
    line = requirement.split(" #")[0].strip()
    if "://" in line and " @ " not in line:
        line = line.split("#")[0].split("?")[0].rsplit("/", 1)[-1].split("-")[0]
    found = re.match(r"[A-Za-z0-9._-]+", line)
    return re.sub(r"[-_.]+", "-", found.group() if found else line).lower()

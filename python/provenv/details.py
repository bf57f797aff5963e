"""What is told of images and builds, with the accessors of ``azureml.core``."""

from __future__ import annotations

from typing import Any, Optional


class DockerImageDetails(dict):
    """All about an image, as a dictionary: the keys that Azure ML's code reads, and those of ``provenv image show``."""

    @property
    def image_exist(self) -> bool:
        """Whether it was made."""
        return bool(self["imageExistsInRegistry"])

    @property
    def digest(self) -> Optional[str]:
        """Its digest, ``sha256:…``."""
        return self.get("digest")

    @property
    def repository(self) -> Optional[str]:
        """The name under which ``provenv registry serve`` and servers offer it."""
        return self["dockerImage"]["name"]

    @property
    def registry(self) -> dict[str, Any]:
        """The registry that has it: empty until one is served."""
        return self["dockerImage"]["registry"]

    @property
    def dockerfile(self) -> Optional[str]:
        """A Dockerfile that would do about the same."""
        return self["ingredients"]["dockerfile"]

    @property
    def python_environment(self) -> dict[str, Any]:
        """Where Python is in it."""
        return self["pythonEnvironment"]

    @property
    def packages(self) -> list[dict[str, Any]]:
        """Its packages, each with ``ecosystem``, ``name``, ``version``, ``size`` in bytes and ``sha256``."""
        return self.get("packages", [])

    @classmethod
    def _of(cls, name: str, version: Optional[str], said: Optional[dict[str, Any]]) -> DockerImageDetails:
        said = said or {}
        return cls(
            {
                **said,
                "imageExistsInRegistry": bool(said),
                "dockerImage": {
                    "name": name if version is None else f"{name}:{version}",
                    "registry": {"address": None, "username": None, "password": None},
                },
                "pythonEnvironment": {"interpreterPath": "python", "condaEnvironmentPath": "/opt/provenv"},
                "ingredients": {"dockerfile": said.get("dockerfile")},
            }
        )


class ImageBuildDetails:
    """A build that has ended: Provenv builds while :meth:`Environment.build` is called, and raises where Azure ML only says
    ``Failed``."""

    __slots__ = ("result", "_log")

    def __init__(self, result: dict[str, Any], log: Optional[str] = None) -> None:
        #: What ``provenv build -o json`` says: ``image``, ``platform``, ``lock``, ``size`` in bytes, ``cached`` ...
        self.result = result
        self._log = log

    @property
    def status(self) -> str:
        """Always ``Succeeded``."""
        return "Succeeded"

    @property
    def image(self) -> str:
        """The digest of the image, ``sha256:…``."""
        return self.result["image"]

    def get_log(self) -> str:
        """The log of the build that made the image."""
        return self._log or ""

    def wait_for_completion(self, show_output: bool = True) -> None:
        """There is nothing left to wait for; shows the log."""
        if show_output:
            print(f"Image Build Status: {self.status}\n")
            print(self.get_log(), end="")

    def __repr__(self) -> str:
        return f"ImageBuildDetails({self.result!r})"

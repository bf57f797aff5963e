"""The parts of an environment, named and shaped as in ``azureml.core.environment``."""

from __future__ import annotations

import logging
import os
from typing import Any, Optional, Union

from provenv._fields import Fields
from provenv.conda_dependencies import CondaDependencies
from provenv.errors import ArgumentError, ArgumentTypeError

_log = logging.getLogger("provenv")

#: There is no image that environments stand on by default: without one, Provenv makes a base of Debian packages.
DEFAULT_CPU_IMAGE: Optional[str] = None
DEFAULT_GPU_IMAGE: Optional[str] = None


class PythonSection(Fields):
    """Python and its packages.

    Attributes:
        user_managed_dependencies: the image has its packages already, and nothing of this section is installed.
        interpreter_path: the Python that runs scripts, where packages are user-managed.
        conda_dependencies: the packages, of conda and of pip; ``None`` asks for none.
        conda_dependencies_file: kept for files of Azure ML's, and read by nothing.
        version: Provenv's own: the Python of the base, such as ``3.11``, where conda brings none.
    """

    __slots__ = (
        "user_managed_dependencies",
        "interpreter_path",
        "conda_dependencies",
        "conda_dependencies_file",
        "version",
        "_base_conda_environment",
    )

    def __init__(self) -> None:
        self.user_managed_dependencies: bool = False
        self.interpreter_path: str = "python"
        self.conda_dependencies: Optional[CondaDependencies] = CondaDependencies()
        self.conda_dependencies_file: Optional[str] = None
        self.version: Optional[str] = None
        self._base_conda_environment: Optional[str] = None

    def _to_dict(self) -> dict[str, Any]:
        said: dict[str, Any] = {
            "userManagedDependencies": self.user_managed_dependencies,
            "interpreterPath": self.interpreter_path,
            "condaDependenciesFile": self.conda_dependencies_file,
            "baseCondaEnvironment": self._base_conda_environment,
        }
        if self.conda_dependencies is not None:
            said["condaDependencies"] = self.conda_dependencies.as_dict()
        return said

    @classmethod
    def _of_dict(cls, said: dict[str, Any]) -> PythonSection:
        section = cls()
        section.user_managed_dependencies = said.get("userManagedDependencies", False)
        section.interpreter_path = said.get("interpreterPath") or "python"
        section.conda_dependencies_file = said.get("condaDependenciesFile")
        section._base_conda_environment = said.get("baseCondaEnvironment")
        conda = said.get("condaDependencies")
        section.conda_dependencies = None if conda is None else CondaDependencies(_underlying_structure=conda)
        return section


class ContainerRegistry(Fields):
    """The registry of a base image: its address. A definition holds no credentials; log in where the image is built."""

    __slots__ = ("address", "username", "password", "registry_identity")

    def __init__(self) -> None:
        self.address: Optional[str] = None
        self.username: Optional[str] = None
        self.password: Optional[str] = None
        self.registry_identity: Optional[RegistryIdentity] = None

    def _to_dict(self) -> dict[str, Any]:
        identity = self.registry_identity
        return {
            "address": self.address,
            "username": self.username,
            "password": self.password,
            "registryIdentity": None if identity is None else identity._to_dict(),
        }

    def __repr__(self) -> str:
        password = None if self.password is None else "***"
        return f"ContainerRegistry(address={self.address!r}, username={self.username!r}, password={password!r})"


class RegistryIdentity(Fields):
    """An identity of Azure's, which means nothing here."""

    __slots__ = ("resource_id", "client_id")

    def __init__(self) -> None:
        self.resource_id: Optional[str] = None
        self.client_id: Optional[str] = None

    def _to_dict(self) -> dict[str, Any]:
        return {"resourceId": self.resource_id, "clientId": self.client_id}


class DockerBuildContext(Fields):
    """A Dockerfile with the files that it copies.

    Attributes:
        location_type: ``git`` or ``storageAccount``, as Azure ML has it; a folder of this machine says ``folder`` here.
        location: the repository, the archive, or the folder.
        dockerfile_path: the Dockerfile's path in it.
    """

    __slots__ = ("location_type", "location", "dockerfile_path")

    def __init__(
        self, location_type: Optional[str] = None, location: Optional[str] = None, dockerfile_path: str = "Dockerfile"
    ) -> None:
        self.location_type = location_type
        self.location = location
        self.dockerfile_path = dockerfile_path

    @staticmethod
    def from_local_directory(
        workspace: Any, path: Union[str, os.PathLike[str]], dockerfile_path: str = "Dockerfile"
    ) -> DockerBuildContext:
        """A folder of this machine. Nothing is uploaded: the content of the files is part of the definition's digest.

        Args:
            workspace: is not asked for anything; Azure ML uploads into it.
            path: the folder.
            dockerfile_path: the Dockerfile's path in the folder.
        """
        folder = os.path.abspath(os.fspath(path))
        if not os.path.isdir(folder):
            raise ArgumentError(f"`{path}` is no folder", hint="give the folder that the Dockerfile copies from")
        return DockerBuildContext("folder", folder, dockerfile_path)

    def _to_dict(self) -> dict[str, Any]:
        kind = "storageAccount" if self.location_type == "folder" else self.location_type
        return {"locationType": kind, "location": self.location, "dockerfilePath": self.dockerfile_path}


class DockerImagePlatform(Fields):
    """What an image is made for."""

    __slots__ = ("os", "architecture")

    def __init__(self, os: str = "Linux", architecture: str = "amd64") -> None:
        self.os = os
        self.architecture = architecture

    def _to_dict(self) -> dict[str, Any]:
        return {"os": self.os, "architecture": self.architecture}


class DockerSection(Fields):
    """What the image stands on: at most one of a base image, a Dockerfile and a build context. With none of them Provenv
    makes a base of Debian packages.

    ``enabled``, ``shared_volumes``, ``shm_size``, ``arguments`` and ``gpu_support`` are there for code of Azure ML's: they
    belong to runs, and change no image.
    """

    __slots__ = (
        "_base_image",
        "_base_dockerfile",
        "_build_context",
        "base_image_registry",
        "platform",
        "enabled",
        "shared_volumes",
        "shm_size",
        "arguments",
        "gpu_support",
    )

    def __init__(self) -> None:
        self._base_image: Optional[str] = DEFAULT_CPU_IMAGE
        self._base_dockerfile: Optional[str] = None
        self._build_context: Optional[DockerBuildContext] = None
        self.base_image_registry = ContainerRegistry()
        self.platform = DockerImagePlatform()
        self.enabled: bool = False
        self.shared_volumes: bool = True
        self.shm_size: Optional[str] = "2g"
        self.arguments: list[str] = []
        self.gpu_support: bool = True

    @property
    def base_image(self) -> Optional[str]:
        """The reference of an image in a registry. To set it takes the Dockerfile and the build context away."""
        return self._base_image

    @base_image.setter
    def base_image(self, value: Optional[str]) -> None:
        self._base_image = value
        if value is not None:
            self._alone("base_image", "_base_dockerfile", "_build_context")

    @property
    def base_dockerfile(self) -> Optional[str]:
        """The text of a Dockerfile; a path or an open file is read. To set it takes the image and the context away."""
        return self._base_dockerfile

    @base_dockerfile.setter
    def base_dockerfile(self, value: Any) -> None:
        if value is None:
            self._base_dockerfile = None
            return
        self._base_dockerfile = _text_of(value)
        self._alone("base_dockerfile", "_base_image", "_build_context")

    @property
    def build_context(self) -> Optional[DockerBuildContext]:
        """A Dockerfile with the files that it copies. To set it takes the image and the Dockerfile away."""
        return self._build_context

    @build_context.setter
    def build_context(self, value: Optional[DockerBuildContext]) -> None:
        self._build_context = value
        if value is not None:
            self._alone("build_context", "_base_image", "_base_dockerfile")

    def _alone(self, kept: str, *others: str) -> None:
        for other in others:
            if getattr(self, other) is not None:
                _log.warning("`%s` is taken away: `%s` stands in its place", other.lstrip("_"), kept)
                setattr(self, other, None)

    def _to_dict(self) -> dict[str, Any]:
        context = self.build_context
        return {
            "enabled": self.enabled,
            "baseImage": self.base_image,
            "baseDockerfile": self.base_dockerfile,
            "buildContext": None if context is None else context._to_dict(),
            "sharedVolumes": self.shared_volumes,
            "shmSize": self.shm_size,
            "arguments": list(self.arguments),
            "baseImageRegistry": self.base_image_registry._to_dict(),
            "platform": self.platform._to_dict(),
        }

    @classmethod
    def _of_dict(cls, said: dict[str, Any]) -> DockerSection:
        section = cls()
        section._base_image = said.get("baseImage")
        section._base_dockerfile = said.get("baseDockerfile")
        context = said.get("buildContext")
        if context:
            section._build_context = DockerBuildContext(
                context.get("locationType"), context.get("location"), context.get("dockerfilePath") or "Dockerfile"
            )
        section.enabled = said.get("enabled", False)
        section.shared_volumes = said.get("sharedVolumes", True)
        section.shm_size = said.get("shmSize", "2g")
        section.arguments = list(said.get("arguments") or [])
        registry = said.get("baseImageRegistry") or {}
        section.base_image_registry.address = registry.get("address")
        section.base_image_registry.username = registry.get("username")
        section.base_image_registry.password = registry.get("password")
        platform = said.get("platform") or {}
        section.platform = DockerImagePlatform(platform.get("os", "Linux"), platform.get("architecture", "amd64"))
        return section


def _text_of(value: Any) -> str:
    if hasattr(value, "read"):
        text = value.read()
        return text.decode("utf-8") if isinstance(text, bytes) else text
    if isinstance(value, os.PathLike):
        with open(value, encoding="utf-8") as file:
            return file.read()
    if not isinstance(value, str):
        raise ArgumentTypeError(
            f"a Dockerfile cannot be a {type(value).__name__}", hint="give its text, its path or an open file"
        )
    # A text of one line that names a file is its path, as in Azure ML.
    if "\n" not in value and os.path.isfile(value):
        with open(value, encoding="utf-8") as file:
            return file.read()
    return value


class SparkPackage(Fields):
    """Maven coordinates of a package of Spark's."""

    __slots__ = ("group", "artifact", "version")

    def __init__(self, group: Optional[str] = None, artifact: Optional[str] = None, version: Optional[str] = None) -> None:
        self.group = group
        self.artifact = artifact
        self.version = version

    def _to_dict(self) -> dict[str, Any]:
        return {"group": self.group, "artifact": self.artifact, "version": self.version}


class SparkSection(Fields):
    """Packages of Spark.

    Attributes:
        repositories: URLs of Maven repositories, in the order they are asked.
        packages: the packages.
        precache_packages: put them into the image.
    """

    __slots__ = ("repositories", "packages", "precache_packages")

    def __init__(self) -> None:
        self.repositories: list[str] = []
        self.packages: list[SparkPackage] = []
        self.precache_packages: bool = True

    def _to_dict(self) -> dict[str, Any]:
        return {
            "repositories": list(self.repositories),
            "packages": [package._to_dict() for package in self.packages],
            "precachePackages": self.precache_packages,
        }

    @classmethod
    def _of_dict(cls, said: dict[str, Any]) -> SparkSection:
        section = cls()
        section.repositories = list(said.get("repositories") or [])
        section.packages = [SparkPackage(**package) for package in said.get("packages") or []]
        section.precache_packages = said.get("precachePackages", True)
        return section


class DatabricksSection(Fields):
    """Libraries that Databricks alone installs; nothing of it is kept, as Azure ML sends none of it either."""

    __slots__ = ("maven_libraries", "pypi_libraries", "rcran_libraries", "jar_libraries", "egg_libraries")

    def __init__(self) -> None:
        self.maven_libraries: list[Any] = []
        self.pypi_libraries: list[Any] = []
        self.rcran_libraries: list[Any] = []
        self.jar_libraries: list[Any] = []
        self.egg_libraries: list[Any] = []

    def _to_dict(self) -> dict[str, Any]:
        return {
            "mavenLibraries": self.maven_libraries,
            "pypiLibraries": self.pypi_libraries,
            "rcranLibraries": self.rcran_libraries,
            "jarLibraries": self.jar_libraries,
            "eggLibraries": self.egg_libraries,
        }


class RCranPackage(Fields):
    """A package of CRAN."""

    __slots__ = ("name", "version", "repository")

    def __init__(self, name: Optional[str] = None, version: Optional[str] = None, repository: Optional[str] = None) -> None:
        self.name = name
        self.version = version
        self.repository = repository

    def _to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "version": self.version, "repository": self.repository}


class RGitHubPackage(Fields):
    """A repository on GitHub that is a package of R; a definition keeps no token."""

    __slots__ = ("repository", "auth_token")

    def __init__(self, repository: Optional[str] = None, auth_token: Optional[str] = None) -> None:
        self.repository = repository
        self.auth_token = auth_token

    def _to_dict(self) -> dict[str, Any]:
        return {"repository": self.repository, "authToken": self.auth_token}


class RSection(Fields):
    """R and its packages.

    Attributes:
        r_version: the version of R, such as ``4.2``.
        user_managed: the image has R and its packages already.
        rscript_path: where ``Rscript`` is in the image.
        snapshot_date: the day of the snapshot that packages are taken from, ``YYYY-MM-DD``.
        cran_packages, github_packages, custom_url_packages, bioconductor_packages: the packages.
    """

    __slots__ = (
        "r_version",
        "user_managed",
        "rscript_path",
        "snapshot_date",
        "cran_packages",
        "github_packages",
        "custom_url_packages",
        "bioconductor_packages",
    )

    def __init__(self) -> None:
        self.r_version: Optional[str] = None
        self.user_managed: bool = False
        self.rscript_path: Optional[str] = None
        self.snapshot_date: Optional[str] = None
        self.cran_packages: Optional[list[RCranPackage]] = None
        self.github_packages: Optional[list[RGitHubPackage]] = None
        self.custom_url_packages: Optional[list[str]] = None
        self.bioconductor_packages: Optional[list[str]] = None

    def _to_dict(self) -> dict[str, Any]:
        return {
            "rVersion": self.r_version,
            "userManaged": self.user_managed,
            "rscriptPath": self.rscript_path,
            "snapshotDate": self.snapshot_date,
            "cranPackages": [package._to_dict() for package in self.cran_packages or []],
            "githubPackages": [package._to_dict() for package in self.github_packages or []],
            "customUrlPackages": list(self.custom_url_packages or []),
            "bioconductorPackages": list(self.bioconductor_packages or []),
        }

    @classmethod
    def _of_dict(cls, said: dict[str, Any]) -> RSection:
        section = cls()
        section.r_version = said.get("rVersion")
        section.user_managed = said.get("userManaged", False)
        section.rscript_path = said.get("rscriptPath")
        section.snapshot_date = said.get("snapshotDate")
        section.cran_packages = [RCranPackage(**package) for package in said.get("cranPackages") or []]
        section.github_packages = [
            RGitHubPackage(package.get("repository"), package.get("authToken")) for package in said.get("githubPackages") or []
        ]
        section.custom_url_packages = list(said.get("customUrlPackages") or [])
        section.bioconductor_packages = list(said.get("bioconductorPackages") or [])
        return section


#: As ``provenv`` exports it.
CranPackage = RCranPackage

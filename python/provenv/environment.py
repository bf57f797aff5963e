"""``Environment``: what a script needs, as in ``azureml.core``, with locks, digests and differences beside."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

from provenv import _native
from provenv._fields import Fields
from provenv.errors import ArgumentError, ArgumentTypeError, DefinitionError, NotFoundError
from provenv.sections import (
    DatabricksSection,
    DockerBuildContext,
    DockerSection,
    PythonSection,
    RSection,
    SparkSection,
)

if TYPE_CHECKING:
    from provenv.details import DockerImageDetails, ImageBuildDetails
    from provenv.workspace import Workspace

PathLike = Union[str, "os.PathLike[str]"]


class Environment(Fields):
    """A named thing: what a script needs in order to run. Registered, it has a version and never changes.

    Attributes:
        name: its name.
        version: its version; ``None`` takes the next number when it is registered.
        environment_variables: set when a command runs; no part of the image.
        python, docker, spark, r, databricks: its sections; ``r`` is ``None`` where nothing is asked of R.
        description, tags: what people say of it.
        base: ``debian``, or a suite such as ``debian/bookworm``, where ``docker`` names nothing to stand on.
        system_packages: packages of Debian, ``name`` or ``name=version``.
        platforms: what it is built for, such as ``linux/arm64``; empty takes ``linux/amd64``.
        inference_config: where a server in the image answers: three routes, each with ``port`` and ``path``.
        inferencing_stack_version, asset_id: there for code of Azure ML's, and never kept.
    """

    __slots__ = (
        "name",
        "version",
        "environment_variables",
        "python",
        "docker",
        "spark",
        "r",
        "databricks",
        "description",
        "tags",
        "base",
        "system_packages",
        "platforms",
        "inference_config",
        "inferencing_stack_version",
        "asset_id",
        "_own",
        "_origin",
        "_origin_document",
        "_registered",
    )

    def __init__(self, name: Optional[str], **kwargs: Any) -> None:
        if name is not None and not isinstance(name, str):
            raise ArgumentTypeError(f"the name is a {type(name).__name__}", hint="names are texts")
        self.name = name
        self.version: Optional[str] = None
        self.environment_variables: dict[str, str] = {}
        self.python = PythonSection()
        self.docker = DockerSection()
        self.spark = SparkSection()
        self.r: Optional[RSection] = None
        self.databricks = DatabricksSection()
        self.description: Optional[str] = None
        self.tags: dict[str, str] = {}
        self.base: Optional[str] = None
        self.system_packages: list[str] = []
        self.platforms: list[str] = []
        self.inference_config: Optional[dict[str, Any]] = None
        self.inferencing_stack_version: Optional[str] = None
        self.asset_id: Optional[str] = None
        self._own: dict[str, Any] = {}
        self._origin: Any = None
        self._origin_document: Optional[str] = None
        self._registered: Optional[dict[str, Any]] = None
        for key, value in kwargs.items():
            setattr(self, key, value)

    # Made from what people have.

    @staticmethod
    def from_conda_specification(name: str, file_path: PathLike) -> Environment:
        """An environment of a conda environment file. No Python is added where the file names none."""
        return _of_file(file_path, name)

    @staticmethod
    def from_pip_requirements(name: str, file_path: PathLike, pip_version: Optional[str] = None) -> Environment:
        """An environment of a ``requirements.txt``, on the base's Python.

        Args:
            pip_version: conda's pip of this version; conda's Python comes along.
        """
        made = _of_file(file_path, name)
        if pip_version is not None:
            _conda(made).add_conda_package(f"pip={pip_version}")
        return made

    @staticmethod
    def from_file(file_path: PathLike, name: Optional[str] = None) -> Environment:
        """An environment of a file of any format that Provenv reads, or of a folder. What a lock of another tool chose is
        taken over when it is registered."""
        return _of_file(file_path, name)

    @staticmethod
    def from_docker_image(
        name: str,
        image: str,
        container_registry: Any = None,
        conda_specification: Optional[PathLike] = None,
        pip_requirements: Optional[PathLike] = None,
    ) -> Environment:
        """An environment on an image of a registry; without packages it is user-managed."""
        made = _with_packages(name, conda_specification, pip_requirements)
        made.docker.base_image = image
        if container_registry is not None:
            made.docker.base_image_registry = container_registry
        return made

    @staticmethod
    def from_dockerfile(
        name: str,
        dockerfile: Any,
        conda_specification: Optional[PathLike] = None,
        pip_requirements: Optional[PathLike] = None,
    ) -> Environment:
        """An environment on what a Dockerfile makes, its text or its path; without packages it is user-managed."""
        made = _with_packages(name, conda_specification, pip_requirements)
        made.docker.base_dockerfile = dockerfile
        return made

    @staticmethod
    def from_docker_build_context(name: str, docker_build_context: DockerBuildContext) -> Environment:
        """An environment that is what a Dockerfile makes of a folder or repository."""
        made = Environment(name)
        made.python.conda_dependencies = None
        made.python.user_managed_dependencies = True
        made.docker.build_context = docker_build_context
        return made

    @staticmethod
    def from_curated(name: str, version: Optional[str] = None, workspace: Optional[Workspace] = None) -> Environment:
        """An environment that is shipped, such as ``curated/sklearn``. Change it under another name: :meth:`clone`."""
        from provenv.workspace import Workspace

        full = name if name.startswith("curated/") else f"curated/{name}"
        reference = full if version is None else f"{full}:{version}"
        return _of_details(json.loads((workspace or Workspace.local())._native.show(reference)))

    @staticmethod
    def from_existing_conda_environment(name: str, conda_environment_name: str, exact: bool = False) -> Environment:
        """What a conda environment of this machine has, by its name or folder, read from its files: conda is not asked.

        Args:
            conda_environment_name: its name, or its folder.
            exact: all packages, each with its version, instead of those that were asked for.
        """
        return _captured(_native.Environment.of_conda(conda_environment_name, exact), name)

    @staticmethod
    def from_current(name: str, exact: bool = True) -> Environment:
        """What this interpreter runs with: its version and the packages that it finds, editable installs and those from
        version control included. :meth:`check` says what cannot be had again, such as an editable install that holds
        changes nobody else has.

        Args:
            exact: all packages, each with its version, instead of those that were asked for.
        """
        import site
        import sys
        import sysconfig

        version = ".".join(str(part) for part in sys.version_info[:3])
        if sys.version_info.releaselevel != "final":
            version += sys.version_info.releaselevel
        folders = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()]
        folders = list(dict.fromkeys(folders))
        return _captured(_native.Environment.of_python(sys.prefix, version, folders, exact), name)

    @staticmethod
    def load_from_directory(path: PathLike) -> Environment:
        """What :meth:`save_to_directory` wrote, here or in Azure ML."""
        file = os.path.join(path, "azureml_environment.json")
        if not os.path.isfile(file):
            raise FileNotFoundError(2, "there is no environment in this folder", file)
        made = _of_file(file, None)
        return made

    def save_to_directory(self, path: PathLike, overwrite: bool = False) -> None:
        """Writes it as Azure ML does: ``azureml_environment.json``, and beside it the conda file and the Dockerfile.

        What only Provenv knows (``description``, ``tags``, ``system_packages``, ``base`` ...) has no place there:
        :meth:`export` to ``native`` keeps all of it.
        """
        os.makedirs(path, exist_ok=overwrite)
        files = {"azureml_environment.json": self._azure()}
        conda = files["azureml_environment.json"]["python"].pop("condaDependencies", None)
        if conda is not None and self.python.conda_dependencies is not None:
            self.python.conda_dependencies.save_to_file(path)
        dockerfile = files["azureml_environment.json"]["docker"]
        if dockerfile["baseDockerfile"] is not None:
            with open(os.path.join(path, "BaseDockerfile"), "w", encoding="utf-8") as file:
                file.write(dockerfile.pop("baseDockerfile"))
        with open(os.path.join(path, "azureml_environment.json"), "w", encoding="utf-8") as file:
            json.dump(files["azureml_environment.json"], file, indent=4)

    def clone(self, new_name: str) -> Environment:
        """The same under another name, without a version; it may be changed."""
        if not new_name:
            raise ArgumentError("the clone has no name", hint="give it one: `clone('mine')`")
        made = copy.deepcopy(self)
        made.name = new_name
        made.version = None
        made.asset_id = None
        made._registered = None
        return made

    # In a workspace.

    def register(self, workspace: Workspace, lock: Optional[PathLike] = None) -> Environment:
        """Registers it: chooses every package, keeps the lock, and gives it a version unless this name has this content
        already.

        Args:
            workspace: where.
            lock: the file of a lock that it is to have.

        Returns:
            The registered version.

        Raises:
            DefinitionError: it cannot be used as it is.
            ResolutionError: what it asks for cannot be had together.
            ConflictError: its version is there with another content.
        """
        registered = json.loads(workspace._native.register(self._as_native(), None if lock is None else os.fspath(lock)))
        return Environment.get(workspace, registered["name"], registered["version"])

    @staticmethod
    def get(
        workspace: Workspace, name: str, version: Optional[str] = None, label: Optional[str] = None
    ) -> Environment:
        """A registered version: this one, the one with this label, or the newest.

        Raises:
            NotFoundError: there is none.
        """
        if version is not None and label is not None:
            raise ArgumentError("Only one of version or label can be specified", hint="leave one of them out")
        reference = name
        if version is not None:
            reference = f"{name}:{version}"
        elif label is not None:
            reference = f"{name}@{label}"
        return _of_details(json.loads(workspace._native.get(reference)))

    @staticmethod
    def list(workspace: Workspace) -> dict[str, Environment]:
        """The newest version of each name, by name."""
        found = json.loads(workspace._native.list(None, False))
        return {details["name"]: _of_details(details) for details in found}

    @staticmethod
    def label(workspace: Workspace, name: str, version: str, labels: Sequence[str]) -> None:
        """Puts labels on a version; a label that was on another one moves. ``get(label=...)`` finds it."""
        for label in labels:
            _native.label(workspace._native, f"{name}:{version}", label)

    def build(
        self,
        workspace: Workspace,
        image_build_compute: Optional[str] = None,
        *,
        to: Sequence[str] = (),
        force: bool = False,
        platform: Optional[str] = None,
    ) -> ImageBuildDetails:
        """Registers it, and makes its image. A build never moves a package: the lock says which ones it has.

        Args:
            image_build_compute: without effect: images are made where this runs.
            to: where it goes besides the store, such as ``oci:FOLDER:TAG`` or ``docker://HOST/NAME:TAG``.
            force: assemble it again and compare.
            platform: such as ``linux/arm64``; the first of the definition by default.

        Raises:
            BuildError: it cannot be made, or came out otherwise than before.
        """
        from provenv.details import ImageBuildDetails

        registered = self.register(workspace)
        reference = registered._reference_name()
        built = json.loads(_native.build(workspace._native, reference, list(to), force, platform))
        details = json.loads(_native.image_details(workspace._native, reference))
        return ImageBuildDetails(built, details.get("log"))

    def build_local(
        self,
        workspace: Workspace,
        platform: Optional[str] = None,
        *,
        useDocker: bool = True,
        pushImageToWorkspaceAcr: bool = False,
        **kwargs: Any,
    ) -> ImageBuildDetails:
        """Makes its image without registering it. Neither Docker nor conda is needed, so that the options of Azure ML's are
        without effect."""
        from provenv.details import ImageBuildDetails

        with self._reference() as reference:
            built = json.loads(_native.build(workspace._native, reference, [], False, platform))
            details = json.loads(_native.image_details(workspace._native, reference))
        return ImageBuildDetails(built, details.get("log"))

    def get_image_details(self, workspace: Workspace) -> DockerImageDetails:
        """All about its image; ``image_exist`` says whether it was made."""
        from provenv.details import DockerImageDetails

        said: Optional[dict[str, Any]] = None
        try:
            with self._reference() as reference:
                said = json.loads(_native.image_details(workspace._native, reference))
        except NotFoundError as error:
            if error.code != "image-not-built":
                raise
        return DockerImageDetails._of(self.name or "environment", self.version, said)

    # What Azure ML lacks.

    def lock(self, workspace: Workspace) -> dict[str, Any]:
        """What was chosen for it: every artifact with its URL, size in bytes and sha256, by platform."""
        with self._reference() as reference:
            return json.loads(_native.lock(workspace._native, reference))

    def receipt(self, workspace: Workspace) -> dict[str, Any]:
        """When, from which indexes and by which version of Provenv it was locked."""
        with self._reference() as reference:
            return json.loads(_native.receipt(workspace._native, reference))

    def diff(self, other: Environment, workspace: Optional[Workspace] = None) -> dict[str, Any]:
        """How ``other`` differs from it: what they ask for, and with a workspace also the packages that were chosen."""
        if workspace is None:
            return {"asked": json.loads(self._as_native().differences(other._as_native()))}
        with self._reference() as old, other._reference() as new:
            return json.loads(_native.diff(workspace._native, old, new, False))

    def export(self, format: str, workspace: Optional[Workspace] = None, *, locked: bool = False) -> dict[str, str]:
        """It in the format of another tool: ``conda``, ``requirements``, ``dockerfile``, ``azureml-v1``, ``azureml-v2``,
        ``native``; with ``locked`` also ``pylock``, ``pixi-lock``, ``conda-lock``, ``explicit``.

        Args:
            workspace: where its lock is, with ``locked``.

        Returns:
            The texts of the files by their names.
        """
        if locked and workspace is None:
            raise ArgumentError("a lock is in a workspace, and none was given", hint="give it: `export(format, workspace, ...)`")
        if workspace is None:
            written = json.loads(self._as_native().write(format))
        else:
            with self._reference() as reference:
                written = json.loads(_native.export(workspace._native, reference, format, locked))
        return {file["name"]: file["text"] for file in written["files"]}

    def sbom(self, workspace: Workspace, format: str = "spdx") -> dict[str, Any]:
        """The bill of materials of its image, as ``spdx`` or ``cyclonedx``."""
        with self._reference() as reference:
            return json.loads(_native.sbom(workspace._native, reference, format))

    def verify(
        self,
        workspace: Workspace,
        keys: Sequence[str] = (),
        policy: Optional[PathLike] = None,
        rebuild: bool = False,
    ) -> dict[str, Any]:
        """Checks its image.

        Args:
            keys: public keys, files or names in the workspace; without any, those of the policy or of the workspace.
            policy: the file of a policy.
            rebuild: make it again from its lock and compare.

        Returns:
            ``verified``, and ``checks`` with the ``name``, ``outcome`` and ``detail`` of each.
        """
        with self._reference() as reference:
            policy = None if policy is None else os.fspath(policy)
            return json.loads(_native.verify(workspace._native, reference, list(keys), policy, rebuild))

    def upgrade(self, workspace: Workspace, packages: Sequence[str] = (), *, dry_run: bool = False) -> dict[str, Any]:
        """Moves the newest version of its name to newer packages, as the next version; with ``dry_run`` only says what
        would change.

        Args:
            packages: only these, and what they need.
        """
        if self.name is None:
            raise ArgumentError("the environment has no name", hint="register it first")
        return json.loads(_native.upgrade(workspace._native, self.name, list(packages), dry_run))

    # What it is.

    def digest(self) -> str:
        """The digest of its definition, ``sha256:…``: what counts for the image, and not its name or variables."""
        return self._as_native().digest()

    def check(self) -> list[dict[str, Any]]:
        """What is to be said of it: remarks with ``code``, ``severity``, ``message``, ``hint`` and, of a file, a place."""
        try:
            return json.loads(self._as_native().check())
        except DefinitionError as error:
            return [dict(remark) for remark in error.remarks]

    def to_yaml(self) -> str:
        """All of it as Provenv's own YAML."""
        return self._as_native().yaml()

    # How it crosses to Rust.

    def _reference_name(self) -> str:
        return f"{self.name}:{self.version}"

    @contextlib.contextmanager
    def _reference(self) -> Iterator[str]:
        """What use cases call it: its name and version where it is registered and unchanged, a file of it elsewhere."""
        if self._registered is not None and self._document() == self._origin_document:
            yield self._reference_name()
            return
        with tempfile.TemporaryDirectory(prefix="provenv-") as folder:
            file = os.path.join(folder, "environment.yaml")
            with open(file, "w", encoding="utf-8") as opened:
                opened.write(self.to_yaml())
            yield file

    def _azure(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "version": self.version,
            "environmentVariables": dict(self.environment_variables),
            "python": self.python._to_dict(),
            "docker": self.docker._to_dict(),
            "spark": self.spark._to_dict(),
            "databricks": self.databricks._to_dict(),
            "r": None if self.r is None else self.r._to_dict(),
            "inferencingStackVersion": self.inferencing_stack_version,
            "assetId": self.asset_id,
        }

    def _document(self) -> str:
        own = {
            **self._own,
            "description": self.description,
            "tags": dict(self.tags),
            "base": self.base,
            "system_packages": list(self.system_packages),
            "python_version": self.python.version,
            "platforms": list(self.platforms),
            "inference_config": self.inference_config,
        }
        return json.dumps({"azure": self._azure(), "own": own})

    def _as_native(self) -> Any:
        document = self._document()
        if self._origin is not None and document == self._origin_document:
            # Unchanged: with the places in its file, and what that chose.
            return self._origin
        return _native.Environment.of_document(document)

    @classmethod
    def _of_native(cls, native: Any) -> Environment:
        said = json.loads(native.document())
        azure, own = said["azure"], said["own"]
        made = cls(azure["name"])
        made.version = azure["version"]
        made.environment_variables = dict(azure["environmentVariables"])
        python = {**azure["python"], "condaDependencies": said["conda"]}
        made.python = PythonSection._of_dict(python)
        made.docker = DockerSection._of_dict({**azure["docker"], "baseDockerfile": said["dockerfile"]})
        made.spark = SparkSection._of_dict(azure["spark"])
        made.r = None if azure["r"] is None else RSection._of_dict(azure["r"])
        context = own.pop("context")
        if context is not None:
            made.docker._base_image = None
            made.docker._build_context = DockerBuildContext("folder", context["location"], context["dockerfile"])
        if own["base"] is not None:
            # Azure ML's own image stands there, as it has nothing else to name.
            made.docker._base_image = None
        made.description = own.pop("description")
        made.tags = own.pop("tags")
        base = own.pop("base")
        made.base = None if base == "debian" else base
        made.system_packages = own.pop("system_packages")
        made.python.version = own.pop("python_version")
        made.platforms = own.pop("platforms")
        made.inference_config = own.pop("inference_config")
        made._own = own
        made._origin = native
        made._origin_document = made._document()
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Environment) and self._document() == other._document()

    __hash__ = None  # type: ignore[assignment]

    def __deepcopy__(self, memo: dict[int, Any]) -> Environment:
        # What was read is never changed, and need not be copied.
        memo[id(self._origin)] = self._origin
        return super().__deepcopy__(memo)

    def __str__(self) -> str:
        return f"Environment(Name: {self.name},\nVersion: {self.version})"

    def __repr__(self) -> str:
        return json.dumps(self._azure(), indent=4)


class EnvironmentReference(Fields):
    """Name and version of an environment that is registered somewhere."""

    __slots__ = ("name", "version")

    def __init__(self, name: str, version: Optional[str] = None) -> None:
        self.name = name
        self.version = version

    def get_environment(self, workspace: Workspace) -> Environment:
        """The environment."""
        return Environment.get(workspace, self.name, self.version)


def _of_file(path: PathLike, name: Optional[str]) -> Environment:
    return _captured(_native.Environment.of_file(os.fspath(path)), name)


def _captured(native: Any, name: Optional[str]) -> Environment:
    made = Environment._of_native(native)
    if name is not None and name != made.name:
        made.name = name
        made._origin = made._origin.named(name)
        made._origin_document = made._document()
    return made


def _of_details(details: dict[str, Any]) -> Environment:
    model = {**details["environment"], "name": details["name"], "version": details["version"]}
    made = Environment._of_native(_native.Environment.of_model(json.dumps(model)))
    made._registered = {key: value for key, value in details.items() if key != "environment"}
    return made


def _with_packages(name: str, conda: Optional[PathLike], pip: Optional[PathLike]) -> Environment:
    if conda is not None and pip is not None:
        raise ArgumentError(
            "a conda specification and pip requirements were both given",
            hint="name the packages of pip in the conda file, below `- pip:`",
        )
    if conda is not None:
        made = Environment.from_conda_specification(name, conda)
    elif pip is not None:
        made = Environment.from_pip_requirements(name, pip)
    else:
        made = Environment(name)
        made.python.user_managed_dependencies = True
    made.base = None
    return made


def _conda(environment: Environment) -> Any:
    from provenv.conda_dependencies import CondaDependencies

    if environment.python.conda_dependencies is None:
        environment.python.conda_dependencies = CondaDependencies()
    return environment.python.conda_dependencies

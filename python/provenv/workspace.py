"""``Workspace``: a catalogue of environments, in a folder of this machine or on a server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Optional, Union

from provenv import _executable, _native

if TYPE_CHECKING:
    from provenv.environment import Environment


class Workspace:
    """Where environments are registered, built and run: :meth:`local` opens one, :meth:`connect` another."""

    __slots__ = ("_native",)

    def __init__(self) -> None:
        raise TypeError("open a workspace by `Workspace.local(folder)` or `Workspace.connect(url)`")

    @classmethod
    def local(cls, path: Optional[Union[str, os.PathLike[str]]] = None, *, offline: bool = False) -> Workspace:
        """A workspace in a folder, made where it is missing. Many processes may have it open.

        Args:
            path: the folder; without one, the one that the command line uses: that of PROVENV_WORKSPACE, or the user's own.
            offline: ask no index and no server.
        """
        if path is None:
            path = os.environ.get("PROVENV_WORKSPACE") or None
            if path is not None and str(path).startswith(("https://", "http://")):
                return cls.connect(str(path), offline=offline)
        root = None if path is None else os.fspath(path)
        return cls._of(_native.Workspace.local(root, offline))

    @classmethod
    def connect(cls, url: str, token: Optional[str] = None, *, offline: bool = False) -> Workspace:
        """A workspace on a server.

        Args:
            url: ``https://HOST[:PORT]/WORKSPACE``.
            token: whose token it is acts; without one, that of PROVENV_TOKEN, or the one that ``provenv login`` keeps.
            offline: ask no index.
        """
        return cls._of(_native.Workspace.connect(url, token, offline))

    @classmethod
    def _of(cls, native: _native.Workspace) -> Workspace:
        _executable.tell_helper()
        made = object.__new__(cls)
        made._native = native
        return made

    @property
    def root(self) -> str:
        """Its folder on this machine; of a workspace on a server, the folder with copies."""
        return str(self._native.root)

    @property
    def url(self) -> Optional[str]:
        """Its URL, if it is on a server."""
        return self._native.url

    @property
    def name(self) -> str:
        """What it is called: the last part of its URL or folder."""
        return (self.url or self.root).rstrip("/").rsplit("/", 1)[-1]

    @property
    def environments(self) -> dict[str, Environment]:
        """The newest version of each name, by name."""
        from provenv.environment import Environment

        return Environment.list(self)

    def __repr__(self) -> str:
        return f"Workspace({self.url or self.root!r})"

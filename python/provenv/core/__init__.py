"""The names of ``azureml.core``, for code that was written for it: only the import changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from provenv.environment import Environment
    from provenv.workspace import Workspace

__all__ = ["Environment", "Workspace"]


def __getattr__(name: str) -> Any:
    import provenv

    if name in __all__:
        return getattr(provenv, name)
    raise AttributeError(f"module 'provenv.core' has no attribute {name!r}")

"""Machine-learning environments: said in Python, locked, built and run by Provenv.

The objects have the names and the shape of ``azureml.core``; ``docs/reference/python.md`` says what differs.
"""

from __future__ import annotations

from typing import Any

# Loaded when first used, so that importing the package costs next to nothing.
_PLACES = {
    "CondaDependencies": "provenv.conda_dependencies",
    "CranPackage": "provenv.sections",
    "DatabricksSection": "provenv.sections",
    "DockerBuildContext": "provenv.sections",
    "DockerSection": "provenv.sections",
    "ContainerRegistry": "provenv.sections",
    "Environment": "provenv.environment",
    "EnvironmentReference": "provenv.environment",
    "ProvenvError": "provenv.errors",
    "PythonSection": "provenv.sections",
    "RSection": "provenv.sections",
    "SparkPackage": "provenv.sections",
    "SparkSection": "provenv.sections",
    "Workspace": "provenv.workspace",
}

__all__ = [*_PLACES, "__version__"]


def __getattr__(name: str) -> Any:
    import importlib

    if name in _PLACES:
        value = getattr(importlib.import_module(_PLACES[name]), name)
    elif name == "__version__":
        value = importlib.import_module("provenv._native").__version__
    else:
        raise AttributeError(f"module 'provenv' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

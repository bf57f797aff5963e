"""The names of ``azureml.core.conda_dependencies``."""

from provenv.conda_dependencies import CondaDependencies

__all__ = ["CondaDependencies"]

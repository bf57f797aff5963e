"""The names of ``azureml.core.environment``."""

from provenv.environment import Environment, EnvironmentReference
from provenv.sections import (
    DEFAULT_CPU_IMAGE,
    DEFAULT_GPU_IMAGE,
    ContainerRegistry,
    DatabricksSection,
    DockerBuildContext,
    DockerSection,
    PythonSection,
    RCranPackage,
    RGitHubPackage,
    RSection,
    SparkPackage,
    SparkSection,
)

__all__ = [
    "DEFAULT_CPU_IMAGE",
    "DEFAULT_GPU_IMAGE",
    "ContainerRegistry",
    "DatabricksSection",
    "DockerBuildContext",
    "DockerSection",
    "Environment",
    "EnvironmentReference",
    "PythonSection",
    "RCranPackage",
    "RGitHubPackage",
    "RSection",
    "SparkPackage",
    "SparkSection",
]

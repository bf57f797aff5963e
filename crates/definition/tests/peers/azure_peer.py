"""Drives the real azureml-core.

azure_peer.py save DIR   writes one folder for each variant, and what it holds to DIR/NAME.json
azure_peer.py load DIR   loads each folder in DIR and prints what each holds
"""

import json
import os
import sys
import warnings

warnings.simplefilter("ignore")

from azureml.core import Environment
from azureml.core.conda_dependencies import CondaDependencies
from azureml.core.environment import (
    DockerBuildContext,
    RCranPackage,
    RGitHubPackage,
    RSection,
    SparkPackage,
)


def plain():
    return Environment("plain")


def conda():
    environment = Environment("conda")
    packages = CondaDependencies.create(
        python_version="3.10",
        pip_packages=["pillow", "azureml-defaults>=1.0.45", "scikit-learn[x]~=1.2 ; python_version < '3.13'"],
        conda_packages=["numpy==1.17.0", "pip=23.0", "scipy>=1.5,<2", "blas=*=openblas"],
    )
    packages.add_channel("conda-forge")
    packages.add_channel("https://conda.test/channel")
    packages.set_pip_option("--extra-index-url https://index.test/simple")
    environment.python.conda_dependencies = packages
    environment.environment_variables = {"MY_VAR": "1", "yes": "no", "TEXT": "ü \U0001f600\n\"'"}
    return environment


def docker_steps():
    environment = Environment.from_dockerfile("steps", "FROM a:1\nRUN echo 'ü'\n")
    environment.python.user_managed_dependencies = False
    environment.environment_variables = {}
    return environment


def spark():
    environment = Environment("spark")
    environment.spark.repositories = ["https://mmlspark.azureedge.net/maven"]
    environment.spark.packages = [SparkPackage(group="com.microsoft.azure", artifact="mmlspark_2.11", version="0.12")]
    environment.spark.precache_packages = False
    return environment


def user_managed():
    environment = Environment.from_docker_image("user-managed", "python:3.10-slim")
    environment.python.interpreter_path = "/opt/python/bin/python3"
    return environment


def build_context():
    context = DockerBuildContext(
        location_type="git", location="https://github.com/team/repository.git#main:docker", dockerfile_path="images/Dockerfile"
    )
    return Environment.from_docker_build_context("context", context)


def private_registry():
    environment = Environment("private")
    environment.docker.base_image = "team/image:3"
    environment.docker.base_image_registry.address = "registry.test:5000"
    environment.docker.base_image_registry.username = "someone"
    environment.docker.base_image_registry.password = "hunter2"
    return environment


def r():
    environment = Environment("r")
    environment.r = RSection()
    environment.r.r_version = "3.6"
    environment.r.snapshot_date = "2020-01-31"
    cran = RCranPackage()
    cran.name, cran.version, cran.repository = "dplyr", "1.0", None
    environment.r.cran_packages = [cran]
    github = RGitHubPackage()
    github.repository, github.auth_token = "owner/name", None
    environment.r.github_packages = [github]
    environment.r.custom_url_packages = ["https://h.test/x.tar.gz"]
    environment.r.bioconductor_packages = ["limma"]
    return environment


def arm64():
    environment = Environment("arm64")
    environment.docker.platform.architecture = "arm64"
    return environment


def requirements():
    with open("requirements.txt", "w") as file:
        file.write("# a comment\nnumpy==1.26.4\npandas>=2 # another\n--extra-index-url https://index.test/simple\n")
    return Environment.from_pip_requirements("requirements", "requirements.txt")


def specification():
    with open("environment.yml", "w") as file:
        file.write("name: mine\nchannels: [conda-forge]\ndependencies:\n- python=3.9\n- pip:\n  - numpy\n")
    return Environment.from_conda_specification("specification", "environment.yml")


VARIANTS = [
    plain, conda, docker_steps, spark, user_managed, build_context, private_registry, r, arm64, requirements, specification,
]


def save(folder):
    os.chdir(folder)
    for make in VARIANTS:
        environment = make()
        environment.save_to_directory(make.__name__)
        with open(make.__name__ + ".json", "w") as file:
            json.dump(Environment._serialize_to_dict(environment), file)


def load(folder):
    loaded = {}
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if os.path.isdir(path):
            loaded[name] = Environment._serialize_to_dict(Environment.load_from_directory(path))
    json.dump(loaded, sys.stdout)


if __name__ == "__main__":
    {"save": save, "load": load}[sys.argv[1]](sys.argv[2])

//! Codes of checks: `PV100` and up.

use super::{CONDA, DOCKERFILE, Example, NATIVE, REQUIREMENTS, example};

/// More than Azure ML takes, and hardly more to read.
const LARGE: &str =
    "FROM debian:trixie-slim@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n";

pub(super) const EXAMPLES: &[Example] = &[
    example("PV101", NATIVE, "name: AzureML-digits\n", "name: digits\n"),
    example("PV102", NATIVE, "name: my digits\n", "name: my-digits\n"),
    example("PV103", REQUIREMENTS, "numpy>=1.26\n", "numpy==1.26.4\n"),
    example("PV104", NATIVE, "python: \"3.8\"\n", "python: \"3.13\"\n"),
    Example {
        beside: &[("tea/pyproject.toml", "[project]\nname = \"tea\"\nversion = \"1.0\"\n")],
        ..example("PV105", REQUIREMENTS, "-e ./tea\n", "tea==1.0\n")
    },
    example("PV106", NATIVE, "image: python:latest\n", "image: python:3.13-slim\n"),
    example("PV107", REQUIREMENTS, "numpy==1.26.4\nnumpy>=2\n", "numpy==1.26.4\n"),
    example("PV108", REQUIREMENTS, "numpy==1.26.4\nnumpy==1.26.4\n", "numpy==1.26.4\n"),
    example(
        "PV109",
        NATIVE,
        "environment_variables:\n  DB_PASSWORD: hunter2\n",
        "environment_variables:\n  DB_PASSWORD: ${DB_PASSWORD}\n",
    ),
    example("PV110", NATIVE, "system_packages: [git, curl, git]\n", "system_packages: [git, curl]\n"),
    example(
        "PV111",
        REQUIREMENTS,
        "tea @ git+https://code.example/tea@main\n",
        "tea @ git+https://code.example/tea@0123456789012345678901234567890123456789\n",
    ),
    example(
        "PV112",
        NATIVE,
        "base: debian/trixie\npython: \"3.11\"\n",
        "base: debian/bookworm\npython: \"3.11\"\n",
    ),
    example(
        "PV113",
        NATIVE,
        "dockerfile: |\n  ARG TAG\n  FROM python:$TAG\n",
        "dockerfile: |\n  ARG TAG=3.13-slim\n  FROM python:$TAG\n",
    ),
    example(
        "PV114",
        CONDA,
        "channels: [conda-forge]\ndependencies:\n- python=3.12\n- pip=24.2\n- numpy=1.26\n- pip:\n  - numpy==2.1.0\n",
        "channels: [conda-forge]\ndependencies:\n- python=3.12\n- numpy=2.1.0\n",
    ),
    example(
        "PV115",
        CONDA,
        "channels: [conda-forge]\ndependencies:\n- python=3.12\n- pip:\n  - numpy==2.1.0\n",
        "channels: [conda-forge]\ndependencies:\n- python=3.12\n- pip=24.2\n- pip:\n  - numpy==2.1.0\n",
    ),
    example(
        "PV116",
        CONDA,
        "channels: [conda-forge]\ndependencies:\n- python=3.12\n- pip\n- pip:\n  - numpy==2.1.0\n",
        "channels: [conda-forge]\ndependencies:\n- python=3.12\n- pip=24.2\n- pip:\n  - numpy==2.1.0\n",
    ),
    example(
        "PV117",
        CONDA,
        "channels: [conda-forge]\ndependencies:\n- pip=24.2\n- pip:\n  - numpy==2.1.0\n",
        "channels: [conda-forge]\ndependencies:\n- python=3.12\n- pip=24.2\n- pip:\n  - numpy==2.1.0\n",
    ),
    example(
        "PV118",
        CONDA,
        "dependencies: [python=3.12, numpy=2.1]\n",
        "channels: [conda-forge]\ndependencies: [python=3.12, numpy=2.1]\n",
    ),
    example(
        "PV119",
        CONDA,
        "channels: [defaults, conda-forge]\ndependencies: [python=3.12]\n",
        "channels: [conda-forge]\ndependencies: [python=3.12]\n",
    ),
    example(
        "PV120",
        CONDA,
        "channels: [defaults]\ndependencies: [python=3.12]\n",
        "channels: [conda-forge]\ndependencies: [python=3.12]\n",
    ),
    example("PV121", REQUIREMENTS, "scikit-lern==1.5.2\n", "scikit-learn==1.5.2\n"),
    example("PV122", REQUIREMENTS, "sklearn\n", "scikit-learn\n"),
    example(
        "PV123",
        DOCKERFILE,
        "FROM mcr.microsoft.com/azureml/base:intelmpi2018.3-ubuntu16.04\n",
        "FROM mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:20251130.v1\n",
    ),
    example(
        "PV124",
        NATIVE,
        "environment_variables:\n  LD_LIBRARY_PATH: /opt/lib\n",
        "environment_variables:\n  TEA_LIBRARIES: /opt/lib\n",
    ),
    Example { text: None, ..example("PV125", DOCKERFILE, "", LARGE) },
    example(
        "PV126",
        CONDA,
        "channels: [conda-forge]\ndependencies: [python=3.12, numpy==2.1.*]\n",
        "channels: [conda-forge]\ndependencies: [python=3.12, numpy=2.1]\n",
    ),
    example(
        "PV127",
        DOCKERFILE,
        "FROM python:3.13-slim\nRUN pip install numpy>=2.1\n",
        "FROM python:3.13-slim\nRUN pip install \"numpy>=2.1\"\n",
    ),
    example(
        "PV128",
        REQUIREMENTS,
        "numpy==1.26.4 --hash=sha256:f870204a840a60da0b12273ef34f7051e98c3b5961b61b0c2c1be6dfd64fbcd3\nsix==1.16.0\n",
        "numpy==1.26.4\nsix==1.16.0\n",
    ),
    example(
        "PV129",
        REQUIREMENTS,
        "--extra-index-url https://index.example/simple\ntea==1.0\n",
        "--index-url https://index.example/simple\ntea==1.0\n",
    ),
    Example {
        beside: &[
            ("context/Dockerfile", "FROM python:3.13-slim\nCOPY tea.txt /\n"),
            ("context/tea.txt", "tea\n"),
        ],
        ..example(
            "PV130",
            NATIVE,
            "build:\n  path: context\nenvironment_variables:\n  SEED: \"7\"\n",
            "build:\n  path: context\n",
        )
    },
    example(
        "PV131",
        "azureml_environment.json",
        "{\"name\": \"digits\", \"r\": {\"rVersion\": \"4.1\"}}\n",
        "{\"name\": \"digits\"}\n",
    ),
    example(
        "PV132",
        CONDA,
        "channels: [conda-forge]\ndependencies: [python=3.12, python>=3.11]\n",
        "channels: [conda-forge]\ndependencies: [python=3.12]\n",
    ),
    example(
        "PV133",
        REQUIREMENTS,
        "--index-url http://index.example/simple\ntea==1.0\n",
        "--index-url https://index.example/simple\ntea==1.0\n",
    ),
    example("PV134", NATIVE, "python: 3.10\n", "python: \"3.10\"\n"),
    example(
        "PV135",
        NATIVE,
        "user_managed: true\n",
        "user_managed: true\nsystem_packages: [python3]\ninterpreter_path: /usr/bin/python3\n",
    ),
    example(
        "PV136",
        "azureml_environment.json",
        "{\"name\": \"digits\", \"docker\": {\"baseImage\": \"python:3.13-slim\"}}\n",
        "{\n  \"name\": \"digits\",\n  \"docker\": {\"baseImage\": \"python:3.13-slim\"},\n  \
         \"python\": {\"userManagedDependencies\": true}\n}\n",
    ),
];

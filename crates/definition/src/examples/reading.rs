//! Codes of reading: `PV001` to `PV099`.

use super::{CONDA, DOCKERFILE, Example, NATIVE, REQUIREMENTS, example};

/// A hash that is one in form.
const HASHED: &str = "--require-hashes
numpy==1.26.4 --hash=sha256:f870204a840a60da0b12273ef34f7051e98c3b5961b61b0c2c1be6dfd64fbcd3
";

pub(super) const EXAMPLES: &[Example] = &[
    Example { text: None, ..example("PV001", REQUIREMENTS, "", "numpy==1.26.4\n") },
    Example {
        mended_file: REQUIREMENTS,
        ..example("PV002", "Pipfile", "[packages]\nnumpy = \"*\"\n", "numpy\n")
    },
    example("PV003", NATIVE, "python: >=3.11\npip: [numpy]\n", "python: \"3.11\"\npip: [numpy]\n"),
    example("PV004", NATIVE, "system_package: [git]\n", "system_packages: [git]\n"),
    example("PV005", NATIVE, "name: [digits]\n", "name: digits\n"),
    example("PV006", NATIVE, "name: digits\nname: letters\n", "name: digits\n"),
    example(
        "PV007",
        REQUIREMENTS,
        "tea @ hg+https://code.example/tea\n",
        "tea @ git+https://code.example/tea@0123456789012345678901234567890123456789\n",
    ),
    example("PV008", NATIVE, "image: python:3.12-slim\nbase: debian\n", "image: python:3.12-slim\n"),
    example(
        "PV009",
        NATIVE,
        "pip: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[numpy\n",
        "pip: [numpy]\n",
    ),
    example("PV010", REQUIREMENTS, "numpy=1.26.4\n", "numpy==1.26.4\n"),
    example(
        "PV011",
        REQUIREMENTS,
        "--indexurl https://index.example/simple\n",
        "--index-url https://index.example/simple\n",
    ),
    example("PV012", REQUIREMENTS, "numpy==2.1.0 --pre\n", "--pre\nnumpy==2.1.0\n"),
    example("PV013", REQUIREMENTS, "-r base.txt\n", "numpy==1.26.4\n"),
    example(
        "PV014",
        REQUIREMENTS,
        "ftp://code.example/tea-1.0.tar.gz\n",
        "https://code.example/tea-1.0.tar.gz\n",
    ),
    example(
        "PV015",
        REQUIREMENTS,
        "--index-url https://me:hunter2@index.example/simple\n",
        "--index-url https://${USER}:${PASSWORD}@index.example/simple\n",
    ),
    example("PV016", REQUIREMENTS, "numpy==1.26.4 --hash=sha256:f870\n", "numpy==1.26.4\n"),
    example("PV017", REQUIREMENTS, "--require-hashes\nnumpy==1.26.4\n", HASHED),
    example("PV018", REQUIREMENTS, "./wheels/tea-1.0-py3-none-any.whl\n", "tea==1.0\n"),
    example("PV019", NATIVE, "python: \"3\"\n", "python: \"3.11\"\n"),
    example("PV020", NATIVE, "system_packages: [Git]\n", "system_packages: [git]\n"),
    example("PV021", NATIVE, "platforms: [toaster]\n", "platforms: [linux/amd64]\n"),
    example(
        "PV022",
        NATIVE,
        "pip:\n  requirements: [dask]\n  constraints: [\"dask[complete]<2024\"]\n",
        "pip:\n  requirements: [\"dask[complete]\"]\n  constraints: [\"dask<2024\"]\n",
    ),
    example("PV023", NATIVE, "name: \"{{ name }}\"\n", "name: digits\n"),
    example(
        "PV024",
        "pyproject.toml",
        "[project\nname = \"digits\"\n",
        "[project]\nname = \"digits\"\nversion = \"1.0\"\n",
    ),
    example(
        "PV025",
        CONDA,
        "channels: [conda-forge]\ndependencies: [\"numpy >>1.2\"]\n",
        "channels: [conda-forge]\ndependencies: [\"numpy >1.2\"]\n",
    ),
    example(
        "PV026",
        CONDA,
        "channels: [\"conda forge\"]\ndependencies: [numpy=1.26]\n",
        "channels: [conda-forge]\ndependencies: [numpy=1.26]\n",
    ),
    example(
        "PV027",
        "pylock.toml",
        "lock-version = \"1.0\"\ncreated-by = \"hand\"\n\n[[packages]]\nversion = \"1.26.4\"\n",
        "lock-version = \"1.0\"\ncreated-by = \"hand\"\npackages = []\n",
    ),
    example(
        "PV028",
        CONDA,
        "channels: [conda-forge]\ndependencies:\n- python=3.12\n- pywin32  # [win]\n",
        "channels: [conda-forge]\ndependencies:\n- python=3.12\n",
    ),
    example(
        "PV029",
        CONDA,
        "channels: [conda-forge]\ndependencies:\n- sel(amiga): numpy=2.1\n",
        "channels: [conda-forge]\ndependencies:\n- sel(linux): numpy=2.1\n",
    ),
    example(
        "PV030",
        CONDA,
        "channels: [conda-forge]\ndependencies: [python=3.12, \"dask[complete]\"]\n",
        "channels: [conda-forge]\ndependencies: [python=3.12, dask]\n",
    ),
    example(
        "PV032",
        "pyproject.toml",
        "[project]\nname = \"digits\"\nversion = \"1.0\"\nrequires-python = \">=3.10\"\n",
        "[project]\nname = \"digits\"\nversion = \"1.0\"\nrequires-python = \"==3.12.*\"\n",
    ),
    example(
        "PV033",
        "pyproject.toml",
        "[project]\nname = \"digits\"\nversion = \"1.0\"\n\n[project.optional-dependencies]\nplot = [\"matplotlib\"]\n",
        "[project]\nname = \"digits\"\nversion = \"1.0\"\ndependencies = [\"matplotlib\"]\n",
    ),
    example(
        "PV034",
        "pylock.toml",
        "lock-version = \"1.0\"\ncreated-by = \"hand\"\n\n[[packages]]\nname = \"tea\"\nversion = \"1.0\"\n\n[[packages.wheels]]\nurl = \"https://code.example/tea-1.0-py3-none-any.whl\"\nhashes = {md5 = \"0123456789abcdef0123456789abcdef\"}\n",
        "lock-version = \"1.0\"\ncreated-by = \"hand\"\n\n[[packages]]\nname = \"tea\"\nversion = \"1.0\"\n\n[[packages.wheels]]\nurl = \"https://code.example/tea-1.0-py3-none-any.whl\"\nhashes = {sha256 = \"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}\n",
    ),
    example("PV035", DOCKERFILE, "RUN pip install numpy\n", "FROM python:3.13-slim\nRUN pip install numpy\n"),
    example(
        "PV036",
        NATIVE,
        "dockerfile: |\n  FROM python:3.13-slim\n  COPY train.py /\n",
        "dockerfile: |\n  FROM python:3.13-slim\n  RUN pip install numpy\n",
    ),
    Example {
        beside: &[("context/Dockerfile", "FROM python:3.13-slim\n")],
        ..example("PV037", NATIVE, "build:\n  path: contxt\n", "build:\n  path: context\n")
    },
    example(
        "PV038",
        NATIVE,
        "$schema: https://azuremlschemas.azureedge.net/latest/environment.schema.json\nconda_file:\n  channels: [conda-forge]\n  dependencies: [python=3.12]\n",
        "$schema: https://azuremlschemas.azureedge.net/latest/environment.schema.json\nimage: python:3.13-slim\nconda_file:\n  channels: [conda-forge]\n  dependencies: [python=3.12]\n",
    ),
    Example {
        text: None,
        mended_file: "project/environment.yml",
        beside: &[
            ("project/environment.yml", "channels: [conda-forge]\ndependencies: [python=3.13, numpy=2.1]\n"),
            ("project/requirements.txt", "numpy==2.1.0\n"),
        ],
        ..example("PV039", "project", "", "channels: [conda-forge]\ndependencies: [python=3.13, numpy=2.1]\n")
    },
    Example {
        text: None,
        mended_file: "project/requirements.txt",
        beside: &[("project/packages.md", "We use numpy.\n")],
        ..example("PV040", "project", "", "numpy==2.1.0\n")
    },
    Example {
        text: None,
        mended_file: NATIVE,
        beside: &[
            ("env/pyvenv.cfg", "home = /usr/bin\nversion = 3.13.5\n"),
            (
                "env/lib/python3.13/site-packages/mine-1.0.dist-info/METADATA",
                "Metadata-Version: 2.4\nName: mine\nVersion: 1.0\n",
            ),
            (
                "env/lib/python3.13/site-packages/mine-1.0.dist-info/direct_url.json",
                "{\"url\": \"file:///home/anna/mine\", \"dir_info\": {\"editable\": true}}\n",
            ),
        ],
        ..example("PV041", "env", "", "python: \"3.13\"\npip: [mine==1.0]\n")
    },
    Example {
        text: None,
        mended_file: NATIVE,
        beside: &[
            ("env/pyvenv.cfg", "home = /usr/bin\nversion = 3.13.5\n"),
            (
                "env/lib/python3.13/site-packages/numpy-2.1.0.dist-info/METADATA",
                "Metadata-Version: 2.4\nName: numpy\nVersion: 2.1.0\n",
            ),
            ("env/lib/python3.13/site-packages/numpy-2.1.0.dist-info/RECORD", "numpy/__init__.py,,\n"),
        ],
        ..example("PV042", "env", "", "python: \"3.13\"\npip: [numpy==2.1.0]\n")
    },
    Example {
        elsewhere: true,
        ..example(
            "PV050",
            "job.yaml",
            "command: python train.py\nenviroment: digits:1\n",
            "command: python train.py\nenvironment: digits:1\n",
        )
    },
];

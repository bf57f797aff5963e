"""The same calls of azureml-core and of Provenv: prints what both say, for a test to compare. Run by azureml-core's Python.

``azure_peer.py azureml`` uses the one, ``azure_peer.py provenv`` the other; scripts are the same but for the import.
"""

import json
import logging
import sys
import warnings

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)

if sys.argv[1] == "azureml":
    from azureml.core.conda_dependencies import CondaDependencies
else:
    from provenv.core.conda_dependencies import CondaDependencies


def conda(calls):
    """A conda file after some calls, or what they refuse."""
    made = CondaDependencies(_underlying_structure={"name": "project_environment", "dependencies": ["python=3.11"]})
    try:
        calls(made)
    except Exception as error:
        return {"refused": str(getattr(error, "message", error))}
    return {
        "dict": made.as_dict(),
        "conda": list(made.conda_packages),
        "pip": list(made.pip_packages),
        "options": list(made.pip_options),
        "channels": list(made.conda_channels),
        "python": made.get_python_version(),
    }


def several(*calls):
    def run(made):
        for name, *arguments in calls:
            getattr(made, name)(*arguments)

    return run


CASES = {
    "packages of pip": several(("add_pip_package", "numpy"), ("add_pip_package", "pandas>=2")),
    "a package of pip again": several(("add_pip_package", "numpy==1.0"), ("add_pip_package", "x"), ("add_pip_package", "numpy>=2")),
    "a package with extras again": several(("add_pip_package", "dask"), ("add_pip_package", "dask[array]>=2")),
    "a package of pip away": several(("add_pip_package", "numpy==1.0"), ("add_pip_package", "x"), ("remove_pip_package", "numpy")),
    "the last package of pip away": several(("add_pip_package", "numpy"), ("remove_pip_package", "numpy")),
    "packages of conda": several(("add_conda_package", "numpy"), ("add_conda_package", "numpy=1.26"), ("add_conda_package", "numpy")),
    "a package of conda away": several(("add_conda_package", "numpy"), ("remove_conda_package", "numpy")),
    "python away": several(("remove_conda_package", "python=3.11")),
    "python otherwise": several(("add_conda_package", "python=3.9"), ("set_python_version", "3.12")),
    "channels": several(("add_channel", "conda-forge"), ("add_channel", "pytorch"), ("add_channel", "conda-forge")),
    "a channel away": several(("add_channel", "conda-forge"), ("add_channel", "pytorch"), ("remove_channel", "pytorch")),
    "options": several(("set_pip_option", "--pre"), ("set_pip_option", "--extra-index-url https://a.example/simple")),
    "an option again": several(("set_pip_option", "--extra-index-url https://a.example"), ("set_pip_option", "--extra-index-url https://b.example")),
    "an option away": several(("set_pip_option", "--pre"), ("add_pip_package", "x"), ("remove_pip_option", "--pre")),
    "an option as package": several(("add_pip_package", "--pre")),
    "a package as option": several(("set_pip_option", "pre")),
    "requirements": several(("add_pip_package", "x"), ("set_pip_requirements", ["--pre", "numpy==1.0", "pandas"])),
    "tensorflow of pip": several(("add_tensorflow_pip_package", "gpu", "2.4.0")),
    "tensorflow of conda": several(("add_tensorflow_conda_package", "cpu", "2.4.0")),
    "a wheel": several(("add_pip_package", "https://a.example/w/numpy-1.0-py3-none-any.whl"), ("add_pip_package", "numpy==2")),
}

said = {name: conda(calls) for name, calls in CASES.items()}
said["merged"] = CondaDependencies.merge_requirements(["a>=1", "a<2", "b", "c==1"])
print(json.dumps(said, sort_keys=True))

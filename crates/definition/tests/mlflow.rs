//! MLflow's `python_env.yaml` through the front door.

use std::path::Path;

use provenv_definition::{Format, read, read_str};

#[test]
fn a_python_env_is_read_with_the_files_that_it_names() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("requirements.txt"), "mlflow==2.9\nscikit-learn==1.4.2\n").unwrap();
    let path = folder.path().join("python_env.yaml");
    let text = "python: 3.9.13\nbuild_dependencies:\n- pip==23.3\n- setuptools\ndependencies:\n- -r requirements.txt\n";
    fs_err::write(&path, text).unwrap();
    let found = read(&path).unwrap();
    assert_eq!(found.format, Format::MlflowPythonEnv);
    assert_eq!(found.files.len(), 2);
    let definition = found.environment.definition;
    assert_eq!(definition.python.unwrap().to_string(), "3.9.13");
    let requirements: Vec<_> = definition.pip.requirements.iter().map(|entry| &*entry.requirement).collect();
    assert_eq!(requirements, ["pip==23.3", "setuptools", "mlflow==2.9", "scikit-learn==1.4.2"]);
}

#[test]
fn mistakes_are_named_with_their_places() {
    for (text, code, line, column) in [
        ("pithon: '3.9'\ndependencies: []\nbuild_dependencies: []", "PV004", 1, 1),
        ("python: '3'\ndependencies: [a]", "PV019", 1, 9),
        ("python: 2.7\ndependencies: [a]", "PV019", 1, 9),
        ("python: '{{ v }}'\ndependencies: [a]", "PV023", 1, 9),
        ("dependencies:\n- a\n- b =1\n", "PV010", 3, 5),
        ("dependencies: a\n", "PV005", 1, 15),
        ("dependencies:\n- -r nowhere.txt\n", "PV013", 2, 6),
        ("dependencies:\n- a: b\n", "PV005", 2, 3),
    ] {
        let error = read_str(text, Path::new("/project/python_env.yaml")).unwrap_err();
        let span = error.0[0].span.unwrap();
        assert_eq!((error.0[0].code, span.line, span.column), (code, line, column), "{text}: {:?}", error.0);
    }
}

#[test]
fn files_of_the_corpus_are_read() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/mlflow-python-env");
    let Ok(entries) = fs_err::read_dir(&corpus) else {
        eprintln!("skipped: the corpus is not at ../shared/corpus of the repository's root");
        return;
    };
    let (mut total, mut refused) = (0, 0);
    for entry in entries {
        let path = entry.unwrap().path();
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("requirements.txt"), "mlflow\n").unwrap();
        let copy = folder.path().join("python_env.yaml");
        fs_err::copy(&path, &copy).unwrap();
        total += 1;
        if let Err(error) = read(&copy) {
            println!("{}: {:?}", path.file_name().unwrap().display(), error.0);
            refused += 1;
        }
    }
    println!("mlflow-python-env: {} of {total} read", total - refused);
    assert_eq!(refused, 0);
}

#[test]
fn its_keys_tell_it_whatever_the_file_is_called() {
    for (name, text, format) in [
        ("env.yaml", "python: \"3.11\"\ndependencies:\n- numpy==2.1.0\n", Format::MlflowPythonEnv),
        ("0a-python_env.yaml", "python: \"3.11\"\n", Format::MlflowPythonEnv),
        ("env.yaml", "python: \"3.11\"\npip: [numpy==2.1.0]\n", Format::Native),
        ("env.yaml", "channels: [c]\ndependencies: [numpy=2.1.0]\n", Format::CondaEnvironment),
    ] {
        assert_eq!(read_str(text, Path::new(name)).unwrap().format, format, "{text}");
    }
}

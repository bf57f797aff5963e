//! Folders: which of their files is taken, and what is said of it.

use provenv_definition::{Diagnostic, Format, ReadError, codes, file_in_folder, read};

/// A folder with these files, each with what a small one of its kind holds.
fn folder(files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let (name, text) = match file.split_once('=') {
            Some((name, text)) => (name, text),
            None => (*file, ""),
        };
        fs_err::write(folder.path().join(name), text).unwrap();
    }
    folder
}

const TOOLS_ONLY: &str = "pyproject.toml=[tool.ruff]\nline-length = 100\n";
const PROJECT: &str = "pyproject.toml=[project]\nname = \"a\"\nversion = \"1\"\ndependencies = [\"numpy\"]\n";
const DYNAMIC: &str =
    "pyproject.toml=[project]\nname = \"a\"\nversion = \"1\"\ndynamic = [\"dependencies\"]\n";
const POETRY: &str = "pyproject.toml=[tool.poetry.dependencies]\npython = \"^3.11\"\n";

#[test]
fn the_order_of_precedence_is_kept() {
    for (files, taken) in [
        (&["requirements.txt"][..], "requirements.txt"),
        (&["requirements.txt", "Dockerfile"], "requirements.txt"),
        (&["requirements.in", "requirements.txt"], "requirements.txt"),
        (&["Dockerfile", "Containerfile"], "Dockerfile"),
        (&["environment.yml", "requirements.txt", "Dockerfile"], "environment.yml"),
        (&["environment.yml", "environment.yaml"], "environment.yaml"),
        (&["provenv.yaml", "environment.yaml", "pixi.lock"], "provenv.yaml"),
        (&["environment.yml", "conda-lock.yml"], "conda-lock.yml"),
        (&["pixi.toml", "pixi.lock", "environment.yml"], "pixi.lock"),
        (&["pixi.toml", "environment.yml"], "pixi.toml"),
        (&["uv.lock", PROJECT, "requirements.txt"], "uv.lock"),
        (&["poetry.lock", POETRY], "poetry.lock"),
        (&["pylock.toml", "uv.lock"], "uv.lock"),
        (&[PROJECT, "requirements.txt"], "pyproject.toml"),
        (&[POETRY, "requirements.txt"], "pyproject.toml"),
        (&[TOOLS_ONLY, "requirements.txt"], "requirements.txt"),
        (&[DYNAMIC, "requirements.txt"], "requirements.txt"),
        (&[TOOLS_ONLY], "pyproject.toml"),
        (&["pyproject.toml=no [toml", "requirements.txt"], "pyproject.toml"),
        (&["conda_dependencies.yml", "azureml_environment.json"], "azureml_environment.json"),
        (&["MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt"], "python_env.yaml"),
        (&["MLmodel", "conda.yaml", "requirements.txt"], "conda.yaml"),
    ] {
        let folder = folder(files);
        let found = file_in_folder(folder.path()).unwrap();
        assert_eq!(found, folder.path().join(taken), "{files:?}");
    }
}

#[test]
fn what_was_taken_is_said_where_there_was_a_choice() {
    let alone = folder(&["requirements.txt=numpy==1.26.4\n"]);
    let found = read(alone.path()).unwrap();
    assert_eq!((found.format, found.warnings.len()), (Format::Requirements, 0));
    assert_eq!(found.files, [alone.path().join("requirements.txt")]);

    let several = folder(&["requirements.txt=numpy==1.26.4\n", "Dockerfile=FROM a\n", "notes.txt="]);
    let found = read(several.path()).unwrap();
    let [remark] = &found.warnings[..] else { panic!("{:?}", found.warnings) };
    assert_eq!(remark.code, "PV039");
    assert_eq!(remark.message, "`requirements.txt` was taken of this folder; passed over: `Dockerfile`");
    assert!(remark.hint.as_deref().unwrap().contains("/Dockerfile`"), "{remark:?}");
    assert_eq!(remark.file, Some(several.path().join("requirements.txt")));

    // Of a file with errors too, so that nobody looks for them in another one.
    let wrong = folder(&["requirements.txt=numpy=1\n", "Dockerfile=FROM a\n"]);
    let ReadError(remarks) = read(wrong.path()).unwrap_err();
    assert_eq!(remarks.iter().map(|remark| remark.code).collect::<Vec<_>>(), ["PV010", "PV039"]);
}

#[test]
fn a_lock_names_the_file_that_it_may_no_longer_be_of() {
    let folder = folder(&["uv.lock=", PROJECT]);
    let remarks = match read(folder.path()) {
        Ok(found) => found.warnings,
        Err(ReadError(remarks)) => remarks,
    };
    let remark = remarks.iter().find(|remark| remark.code == "PV039").unwrap();
    let hint = remark.hint.as_deref().unwrap();
    assert!(hint.contains("up to date") && hint.contains("/pyproject.toml` to resolve anew"), "{hint}");
}

#[test]
fn a_folder_without_a_definition_is_refused_with_what_is_alike() {
    let refused = |files: &[&str]| -> Diagnostic {
        let folder = folder(files);
        let ReadError(mut remarks) = read(folder.path()).unwrap_err();
        assert_eq!(remarks.len(), 1);
        remarks.remove(0)
    };
    let empty = refused(&["notes.txt", "environment.lock.json"]);
    assert_eq!(empty.code, codes::NOTHING_IN_FOLDER.id);
    assert!(empty.hint.unwrap().starts_with("name the file, or add one"));
    let alike = refused(&["requirements-dev.txt", "environment-gpu.yml", "README.md"]);
    assert_eq!(alike.hint.unwrap(), "name the file; there is `environment-gpu.yml`, `requirements-dev.txt`");
    // A folder is no file, whatever it is called.
    let folder = tempfile::tempdir().unwrap();
    fs_err::create_dir(folder.path().join("requirements.txt")).unwrap();
    assert_eq!(read(folder.path()).unwrap_err().0[0].code, codes::NOTHING_IN_FOLDER.id);
}

#[test]
fn files_that_are_read_with_the_one_taken_are_not_passed_over() {
    let azure = "azureml_environment.json={\"name\": \"a\", \"docker\": {\"baseImage\": \"a:1\"}}";
    let folder = folder(&[azure, "conda_dependencies.yml=dependencies: [python=3.11]\n"]);
    let found = read(folder.path()).unwrap();
    assert_eq!(found.files.len(), 2);
    assert!(found.warnings.iter().all(|remark| remark.code != "PV039"), "{:?}", found.warnings);
}

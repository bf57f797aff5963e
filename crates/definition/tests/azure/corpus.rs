//! The Azure ML files of the corpus.

use std::path::Path;

use provenv_definition::{read, read_str, write_native};

use super::render;

/// What azureml-assets fills in before it publishes an asset.
fn filled(text: &str) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").unwrap();
        filled.push_str(before);
        filled.push_str(match name.trim() {
            "asset.repo.url" => "https://github.com/Azure/repository.git",
            "image.context.path" => "context",
            "image.dockerfile.path" => "Dockerfile",
            _ => "x1",
        });
        rest = after;
    }
    filled + rest
}

/// Puts what the file names beside it, as the corpus holds the file alone: a conda file, a context.
fn furnish(folder: &Path, text: &str) {
    for line in text.lines() {
        let Some((key, value)) = line.trim().trim_start_matches("- ").split_once(':') else { continue };
        let value = value.trim().trim_matches(['"', '\'']);
        if value.is_empty() || value.contains("://") || value.starts_with("azureml:") {
            continue;
        }
        if key == "conda_file" {
            let path = folder.join(value);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, "channels: [conda-forge]\ndependencies: [python=3.10, pip]\n").unwrap();
        } else if key == "path" && !value.starts_with(['/', '$']) {
            fs_err::create_dir_all(folder.join(value)).unwrap();
            fs_err::write(folder.join(value).join("Dockerfile"), "FROM a:1\nCOPY . /a\n").unwrap();
        }
    }
}

#[test]
fn files_of_the_corpus_are_read_or_refused_for_a_reason() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    if !corpus.is_dir() {
        eprintln!("skipped: the corpus is not at ../shared/corpus of the repository's root");
        return;
    }
    // How many of each kind may be refused when all that they name is there and templates are filled in.
    for (kind, most_refused) in
        [("aml-v2-env", 0), ("aml-v2-inline-env", 1), ("aml-asset-yaml", 40), ("aml-asset-env-config", 53)]
    {
        let (mut total, mut refused) = (0, 0);
        for entry in fs_err::read_dir(corpus.join(kind)).unwrap() {
            let original = entry.unwrap().path();
            let name = original.file_name().unwrap();
            let text = filled(&fs_err::read_to_string(&original).unwrap());
            let top = tempfile::tempdir().unwrap();
            let folder = top.path().join("a/b/c/d");
            fs_err::create_dir_all(&folder).unwrap();
            furnish(&folder, &text);
            fs_err::write(folder.join(name), &text).unwrap();
            total += 1;
            match read(&folder.join(name)) {
                Ok(found) => {
                    found.check();
                    let written = write_native(&found.environment);
                    let again = read_str(&written, &folder.join("written.yaml"));
                    let again = again.unwrap_or_else(|error| panic!("{written}\n{:?}", error.0));
                    assert_eq!(again.environment, found.environment, "{}\n{written}", name.display());
                }
                Err(error) => {
                    refused += 1;
                    assert!(error.0.iter().all(|error| error.file.is_some()));
                    println!("{kind}/{}: {}", name.display(), render(&error.0[0]));
                    let asset = kind.starts_with("aml-asset") && error.0[0].code == "PV002";
                    assert!(asset || error.0[0].code == "PV008", "{}: {:?}", name.display(), error.0);
                }
            }
        }
        println!("{kind}: {} of {total} read", total - refused);
        assert!(refused <= most_refused, "{kind}");
    }
}

//! Environments that are on disk already: virtual environments that Python's own tools made, and conda prefixes as conda
//! lays them down.

use std::path::{Path, PathBuf};

use provenv_definition::capture::{Extent, capture};
use provenv_definition::{Diagnostic, ReadEnvironment, Requirement, check};

mod conda;
mod python;
mod real;

/// What was asked of conda and of pip, in order.
fn asked(read: &ReadEnvironment) -> (Vec<String>, Vec<String>) {
    let definition = &read.environment.definition;
    let conda = definition.conda.packages.iter().map(|package| package.spec.clone());
    let pip = definition.pip.requirements.iter().map(|one| {
        assert!(one.requirement.parse::<Requirement>().is_ok(), "{}", one.requirement);
        format!("{}{}", if one.editable { "-e " } else { "" }, one.requirement)
    });
    (conda.collect(), pip.collect())
}

fn channels(read: &ReadEnvironment) -> Vec<String> {
    read.environment.definition.conda.channels.iter().map(ToString::to_string).collect()
}

fn codes(remarks: &[Diagnostic]) -> Vec<&str> {
    remarks.iter().map(|remark| remark.code).collect()
}

fn remarks(read: &ReadEnvironment) -> String {
    read.warnings.iter().fold(String::new(), |text, remark| text + &format!("{remark}\n"))
}

fn taken(prefix: &Path, extent: Extent) -> ReadEnvironment {
    let found = capture(prefix, extent).unwrap_or_else(|error| panic!("{:?}", error.0));
    assert!(found.warnings.iter().all(|remark| !remark.is_error() && remark.file.is_some()));
    let definition = &found.environment.definition;
    assert_eq!(found.origins.conda.len(), definition.conda.packages.len());
    assert_eq!(found.origins.channels.len(), definition.conda.channels.len());
    assert_eq!(found.origins.requirements.len(), definition.pip.requirements.len());
    check(&found.environment);
    found
}

fn write(file: PathBuf, text: &str) {
    fs_err::create_dir_all(file.parent().unwrap()).unwrap();
    fs_err::write(file, text).unwrap();
}

/// A virtual environment on paper: what tools leave in it, without the tools.
struct Paper {
    folder: tempfile::TempDir,
}

impl Paper {
    fn venv(settings: &str) -> Self {
        let paper = Self { folder: tempfile::tempdir().unwrap() };
        paper.write("pyvenv.cfg", settings);
        fs_err::create_dir_all(paper.site()).unwrap();
        paper
    }

    fn conda() -> Self {
        let paper = Self { folder: tempfile::tempdir().unwrap() };
        fs_err::create_dir_all(paper.path().join("conda-meta")).unwrap();
        paper
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn site(&self) -> PathBuf {
        self.path().join("lib/python3.11/site-packages")
    }

    fn write(&self, file: &str, text: &str) {
        write(self.path().join(file), text);
    }

    /// A `dist-info` with files besides its metadata and its list of files.
    fn package(&self, name: &str, version: &str, more: &[(&str, &str)]) {
        let folder = self.site().join(format!("{}-{version}.dist-info", name.replace('-', "_")));
        write(
            folder.join("METADATA"),
            &format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: no\n"),
        );
        write(folder.join("RECORD"), "");
        for (file, text) in more {
            write(folder.join(file), text);
        }
    }

    /// A record as conda writes it.
    fn record(&self, name: &str, version: &str, build: &str, rest: &str) {
        let json = format!(
            r#"{{"name": "{name}", "version": "{version}", "build": "{build}", "build_number": 0, "requested_spec": "None"{rest}}}"#
        );
        self.write(&format!("conda-meta/{name}-{version}-{build}.json"), &json);
    }
}

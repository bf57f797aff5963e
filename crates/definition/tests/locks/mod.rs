//! Locks of other tools through the front door: samples that the tools wrote, their oddities, and hostile ones.

use std::path::{Path, PathBuf};

use provenv_definition::{Diagnostic, LockedArtifacts, ReadEnvironment, read, read_str};

mod conda;
mod poetry;
mod python;
mod refused;

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples")
}

fn sample(name: &str) -> ReadEnvironment {
    read(&samples().join(name)).unwrap_or_else(|error| panic!("{name}: {:?}", error.0))
}

/// The pins, each with the number of its hashes.
fn pins(found: &ReadEnvironment) -> Vec<String> {
    let here = format!("file://{}", samples().display());
    let requirements = &found.environment.definition.pip.requirements;
    requirements
        .iter()
        .map(|entry| {
            let editable = if entry.editable { " -e" } else { "" };
            format!("{} #{}{editable}", entry.requirement.replace(&here, "file:///here"), entry.hashes.len())
        })
        .collect()
}

fn render(diagnostic: &Diagnostic) -> String {
    let place = diagnostic.span.map_or(String::new(), |span| format!(" {}:{}", span.line, span.column));
    format!("{}{place} {}", diagnostic.code, diagnostic.message)
}

fn remarks(text: &str, name: &str) -> Vec<String> {
    let diagnostics = match read_str(text, &Path::new("/project").join(name)) {
        Ok(found) => found.warnings,
        Err(error) => error.0,
    };
    diagnostics.iter().map(render).collect()
}

fn locked(found: &ReadEnvironment) -> &LockedArtifacts {
    found.locked.as_ref().expect("a lock")
}

/// One package in a `uv.lock`.
fn uv_package(name: &str, rest: &str) -> String {
    format!(
        "[[package]]\nname = \"{name}\"\nversion = \"1\"\nsource = {{ registry = \"https://pypi.org/simple\" }}\n\
         sdist = {{ url = \"https://h.test/{name}-1.tar.gz\", hash = \"sha256:{}\" }}\n{rest}\n",
        "ab".repeat(32)
    )
}

fn uv_lock(dependencies: &str, packages: &str) -> String {
    format!(
        "version = 1\nrequires-python = \"==3.11.*\"\n[[package]]\nname = \"root\"\nversion = \"0\"\n\
         source = {{ virtual = \".\" }}\ndependencies = [{dependencies}]\n{packages}"
    )
}

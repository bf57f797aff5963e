//! The bytecode of an artifact's modules as a segment of its own: made by the environment's own Python, kept for ever.
//!
//! Unchecked-hash `.pyc` files (PEP 552), as the times of files in an image say nothing. Modules in folders called `test`
//! or `tests` are left out: they are half of the work, and a training script does not import them; Python compiles them
//! by itself if it does. Modules that do not compile are left out too, as pip does; their names are kept.

use std::collections::VecDeque;
use std::sync::Arc;

use provenv_store::Store;
use serde::{Deserialize, Serialize};

use super::compiler::Compiler;
use super::error::Error;
use super::model::{ItemKind, Segment};
use super::reader::Reader;
use super::writer::Writer;
use crate::path;

/// Sources that may wait for a worker: enough to keep them all busy, few enough to be no burden on memory.
const AHEAD: usize = 32;

/// The bytecode of one artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bytecode {
    /// Its `.pyc` files; `None` where it has no modules.
    pub segment: Option<Segment>,
    /// Modules that do not compile with this Python, by their path in the image.
    pub failed: Vec<String>,
}

/// Whether bytecode is made for the file at `path`, for a Python of this minor version.
pub(crate) fn wanted(path: &str, (major, minor): (u32, u32)) -> bool {
    let Some(stem) = path.strip_suffix(".py") else { return false };
    // Debian keeps modules for all minor versions in `python3`.
    let inside = [
        format!("{}/lib/python{major}.{minor}/site-packages/", super::PREFIX),
        // A conda Python's own modules.
        format!("{}/lib/python{major}.{minor}/", super::PREFIX),
        format!("usr/lib/python{major}.{minor}/"),
        format!("usr/lib/python{major}/dist-packages/"),
    ]
    .iter()
    .find_map(|root| stem.strip_prefix(root.as_str()));
    let Some(inside) = inside else { return false };
    let mut folders: Vec<&str> = inside.split('/').collect();
    let name = folders.pop().unwrap_or_default();
    // Importable names only: templates and data files are often called `.py` too.
    let importable = |part: &&str| {
        part.starts_with(|c: char| c == '_' || c.is_alphabetic())
            && part.chars().all(|c| c == '_' || c.is_alphanumeric())
    };
    importable(&name)
        && folders.iter().all(importable)
        && !folders.iter().any(|part| *part == "tests" || *part == "test")
}

/// Where the bytecode of the module at `path` goes.
pub(crate) fn cached(path: &str, (major, minor): (u32, u32)) -> String {
    let name = path::file_name(path);
    let folder = &path[..path.len() - name.len()];
    format!("{folder}__pycache__/{}.cpython-{major}{minor}.pyc", name.trim_end_matches(".py"))
}

/// Makes the bytecode of the modules in `source`.
pub(crate) fn make<E: From<Error>>(
    store: &Store,
    source: &Segment,
    compiler: impl FnOnce() -> Result<Arc<Compiler>, E>,
    version: (u32, u32),
) -> Result<Bytecode, E> {
    let mut reader = Reader::open(store, source)?;
    let modules: Vec<_> = reader
        .index
        .entries
        .iter()
        .filter(|item| item.kind == ItemKind::File && wanted(&item.path, version))
        .cloned()
        .collect();
    if modules.is_empty() {
        return Ok(Bytecode { segment: None, failed: Vec::new() });
    }
    let compiler = compiler()?;
    let mut out = Writer::new(store)?;
    let mut failed = Vec::new();
    let mut waiting = VecDeque::new();
    let mut modules = modules.into_iter();
    loop {
        while waiting.len() < AHEAD
            && let Some(item) = modules.next()
        {
            let bytes = reader.read(&item)?;
            let answer = compiler.compile(format!("/{}", item.path), bytes);
            waiting.push_back((item, answer));
        }
        let Some((item, answer)) = waiting.pop_front() else { break };
        match answer.wait()? {
            Some(pyc) => out.file(&cached(&item.path, version), &pyc, 0o644, (0, 0))?,
            None => failed.push(item.path),
        }
    }
    Ok(Bytecode { segment: Some(out.finish()?), failed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_told_from_other_files() {
        let site = "opt/provenv/lib/python3.11/site-packages";
        for path in [
            "usr/lib/python3.11/os.py",
            "usr/lib/python3/dist-packages/yaml/loader.py",
            &format!("{site}/a/testing/b.py"),
        ] {
            assert!(wanted(path, (3, 11)), "{path}");
        }
        for path in [
            "usr/lib/python3.12/os.py",
            "usr/share/x.py",
            "usr/lib/python3.11/os.pyc",
            &format!("{site}/a/tests/b.py"),
            &format!("{site}/a-b/c.py"),
            &format!("{site}/a/2to3.py"),
        ] {
            assert!(!wanted(path, (3, 11)), "{path}");
        }
        assert_eq!(cached("a/b.py", (3, 11)), "a/__pycache__/b.cpython-311.pyc");
    }
}

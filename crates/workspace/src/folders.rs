//! Local folders that packages are built from: a lock keeps the wheel that was built when it was made, and whoever has
//! edited the folder since is told.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use provenv_definition::{Definition, Digest, Hasher, Requirement};
use serde::{Deserialize, Serialize};
use url::Url;
use walkdir::WalkDir;

use crate::{Result, Workspace};

/// The kind of the records, whose keys are the locks.
pub(crate) const RECORDS: &str = "local-folders";

/// What is written by tools that work in a folder, and changes nothing in a package.
const LEFT_OUT: &[&str] = &[
    ".git",
    ".venv",
    ".tox",
    ".nox",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    "__pycache__",
    "node_modules",
];

/// What a folder was when it was locked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Of names, sizes and times: quick to compare.
    seen: Digest,
    /// Of names and contents.
    content: Digest,
}

/// The folders of a definition, as they are now. One that cannot be read is the resolver's to complain of.
pub(crate) fn states(definition: &Definition) -> BTreeMap<PathBuf, State> {
    let state = |folder: &Path| {
        io::Result::Ok(State { seen: digest(folder, false)?, content: digest(folder, true)? })
    };
    folders(definition)
        .into_iter()
        .filter_map(|folder| Some((folder.clone(), state(&folder).ok()?)))
        .collect()
}

impl Workspace {
    /// Keeps what the folders of a lock were.
    pub(crate) fn remember_folders(&self, lock: &Digest, states: &BTreeMap<PathBuf, State>) -> Result<()> {
        if !states.is_empty() {
            self.store.set_record(RECORDS, &lock.hex(), states)?;
        }
        Ok(())
    }

    /// Says which folders have changed since `lock` was made, and the command that takes them anew.
    pub(crate) fn note_changed_folders(
        &self,
        definition: &Definition,
        lock: &Digest,
        how: &str,
    ) -> Result<()> {
        let folders = folders(definition);
        if folders.is_empty() {
            return Ok(());
        }
        let known: BTreeMap<PathBuf, State> = self.store.record(RECORDS, &lock.hex())?.unwrap_or_default();
        for folder in folders {
            let Some(state) = known.get(&folder) else { continue };
            let differs = |contents, then| digest(&folder, contents).is_ok_and(|now| now != then);
            if differs(false, state.seen) && differs(true, state.content) {
                self.reporter.note(&format!(
                    "{} has changed since it was locked, and is used as it was then; `{how}` takes it anew",
                    shown(&folder)
                ));
            }
        }
        Ok(())
    }
}

/// Whether it asks for anything on this machine: what that is, its digest does not say.
pub(crate) fn is_local(definition: &Definition) -> bool {
    let mut requirements = definition.pip.requirements.iter().map(|entry| &entry.requirement);
    requirements.any(|text| {
        let requirement = Requirement::parse(text, Path::new("/")).ok();
        let url = requirement.and_then(|requirement| Url::parse(&requirement.url?).ok());
        url.is_some_and(|url| url.scheme() == "file")
    })
}

/// The folders that requirements name.
fn folders(definition: &Definition) -> Vec<PathBuf> {
    let paths = definition.pip.requirements.iter().filter_map(|entry| {
        let requirement = Requirement::parse(&entry.requirement, Path::new("/")).ok()?;
        let mut url = Url::parse(&requirement.url?).ok().filter(|url| url.scheme() == "file")?;
        url.set_fragment(None);
        url.to_file_path().ok()
    });
    paths.filter(|path| path.is_dir()).collect()
}

fn digest(folder: &Path, contents: bool) -> io::Result<Digest> {
    let walk = WalkDir::new(folder).min_depth(1).sort_by_file_name().into_iter().filter_entry(|entry| {
        let name = entry.file_name().to_string_lossy();
        !LEFT_OUT.contains(&&*name) && !name.ends_with(".egg-info")
    });
    let mut hasher = Hasher::new();
    for entry in walk {
        let entry = entry?;
        if !entry.file_type().is_file() {
            continue;
        }
        let name = entry.path().as_os_str().as_encoded_bytes();
        hasher.update(&(name.len() as u64).to_be_bytes());
        hasher.update(name);
        if contents {
            let mut content = Hasher::new();
            io::copy(&mut fs_err::File::open(entry.path())?, &mut content)?;
            hasher.update(content.finish().as_bytes());
        } else {
            use std::os::unix::fs::MetadataExt as _;
            let metadata = entry.metadata()?;
            for number in [metadata.len().cast_signed(), metadata.mtime(), metadata.mtime_nsec()] {
                hasher.update(&number.to_be_bytes());
            }
        }
    }
    Ok(hasher.finish())
}

/// A path as its user would write it.
pub(crate) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    match here.as_deref().and_then(|here| path.strip_prefix(here).ok()) {
        Some(below) if !below.as_os_str().is_empty() => format!("./{}", below.display()),
        Some(_) => ".".to_owned(),
        None => path.display().to_string(),
    }
}

//! A folder: the environment that it is, or the file in it that says most.
//!
//! The order is one list, documented in `docs/reference/formats.md`: what is written for Provenv, then whole folders that
//! tools write, then each kind of project with its lock before its manifest, then plain lists, then Dockerfiles. Whether a
//! lock is still of its manifest is not checked: each tool has its own rules for that, so it is said instead.

use std::path::{Path, PathBuf};

use crate::capture::{self, Extent};
use crate::document::{self, Kind, Node};
use crate::recognise::value_of;
use crate::{Diagnostic, ReadEnvironment, ReadError, Source, codes};

/// What a file's name stands for in the choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Says what is asked for.
    Manifest,
    /// Says what was chosen, beside a file that says what was asked for.
    Lock,
}

/// Names of files, the one that wins first.
const PRECEDENCE: &[(&str, Role)] = &[
    ("provenv.yaml", Role::Manifest),
    ("provenv.yml", Role::Manifest),
    ("azureml_environment.json", Role::Manifest),
    ("python_env.yaml", Role::Manifest),
    ("pixi.lock", Role::Lock),
    ("pixi.toml", Role::Manifest),
    ("conda-lock.yml", Role::Lock),
    ("conda-lock.yaml", Role::Lock),
    ("environment.yaml", Role::Manifest),
    ("environment.yml", Role::Manifest),
    ("conda.yaml", Role::Manifest),
    ("conda.yml", Role::Manifest),
    ("conda_dependencies.yml", Role::Manifest),
    ("uv.lock", Role::Lock),
    ("pylock.toml", Role::Lock),
    ("poetry.lock", Role::Lock),
    ("pyproject.toml", Role::Manifest),
    ("requirements.txt", Role::Manifest),
    ("requirements.in", Role::Manifest),
    ("Dockerfile", Role::Manifest),
    ("Containerfile", Role::Manifest),
];

/// Files that are read with the one before, and so are not passed over: what Azure ML's SDK and MLflow write.
const PARTS: &[(&str, &str)] =
    &[("azureml_environment.json", "conda_dependencies.yml"), ("python_env.yaml", "requirements.txt")];

/// Beginnings of names that are worth a word where no name above is there: `requirements-dev.txt`.
const ALIKE: &[&str] = &["requirements", "environment", "conda", "pylock", "dockerfile", "env"];

/// Entries of a folder that are looked at for names that are alike.
const MAX_ENTRIES: usize = 10_000;

/// Files that are named in one remark.
const MAX_NAMED: usize = 8;

/// The file that stands for the folder `path`; a file stands for itself, an environment on disk too.
pub fn file_of(path: &Path) -> Result<PathBuf, ReadError> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    taken(path).map(|taken| taken.map_or(path.to_owned(), |(file, _)| file))
}

/// The file that is taken of the folder `path`, and what is to be said of it; `None` where the folder is an environment.
pub(crate) fn taken(path: &Path) -> Result<Option<(PathBuf, Option<Diagnostic>)>, ReadError> {
    if capture::is_environment(path) {
        return Ok(None);
    }
    let choice = choose(path)?;
    let remark = choice.remark();
    Ok(Some((choice.file, remark)))
}

pub(crate) fn read(path: &Path) -> Result<ReadEnvironment, ReadError> {
    let Some((file, remark)) = taken(path)? else { return capture::capture(path, Extent::History) };
    match Source::read(&file).and_then(|source| crate::read::read_source(&source)) {
        Ok(mut read) => {
            read.warnings.extend(remark);
            Ok(read)
        }
        Err(mut error) => {
            error.0.extend(remark);
            Err(error)
        }
    }
}

struct Choice {
    file: PathBuf,
    role: Role,
    /// Names of the files that could have been taken.
    others: Vec<&'static str>,
}

impl Choice {
    /// Which file was taken; nothing where there was no choice.
    fn remark(&self) -> Option<Diagnostic> {
        let (first, _) = self.others.split_first()?;
        let taken = name_of(&self.file);
        let others = listed(&self.others.iter().map(|other| (*other).to_owned()).collect::<Vec<_>>());
        let message = format!("`{taken}` was taken of this folder; passed over: {others}");
        let other = shown(&self.file.with_file_name(first));
        let hint = match self.role {
            Role::Manifest => format!("name another one to take it, e.g. `{other}`"),
            Role::Lock => {
                format!(
                    "whether this lock is still up to date is not checked; name `{other}` to resolve anew"
                )
            }
        };
        Some(Diagnostic::new(codes::FOLDER_CHOICE, message).with_hint(hint).in_file(&self.file))
    }
}

/// A path as an argument that is taken for a path.
fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    crate::secrets::shown(&if text.contains('/') { text } else { format!("./{text}") })
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn listed(names: &[String]) -> String {
    let mut listed: Vec<String> =
        names.iter().take(MAX_NAMED).map(|name| format!("`{}`", crate::secrets::shown(name))).collect();
    if names.len() > MAX_NAMED {
        listed.push(format!("and {} more", names.len() - MAX_NAMED));
    }
    listed.join(", ")
}

fn choose(folder: &Path) -> Result<Choice, ReadError> {
    let within = |name: &str| if folder == Path::new(".") { PathBuf::from(name) } else { folder.join(name) };
    let mut there: Vec<(&'static str, Role)> =
        PRECEDENCE.iter().copied().filter(|(name, _)| within(name).is_file()).collect();
    // Many a `pyproject.toml` only sets up tools, or leaves its packages to a file that is beside it.
    if let Some(at) = there.iter().position(|(name, _)| *name == "pyproject.toml")
        && !names_packages(&within("pyproject.toml"))
    {
        let pyproject = there.remove(at);
        there.push(pyproject);
    }
    let Some(((name, role), others)) = there.split_first() else { return Err(nothing(folder)) };
    let is_part = |other: &str| PARTS.contains(&(*name, other));
    let others = others.iter().map(|(name, _)| *name).filter(|other| !is_part(other)).collect();
    Ok(Choice { file: within(name), role: *role, others })
}

/// Whether a `pyproject.toml` says itself which packages it needs. One that cannot be read is taken to, so that what is
/// wrong with it is said.
fn names_packages(path: &Path) -> bool {
    let Ok(source) = Source::read(path) else { return true };
    let Ok(node) = document::parse_toml(&source) else { return true };
    let value = |path: &[&str]| {
        path.iter().try_fold(&node, |node: &Node, key: &&str| value_of(node, key)).map(|node| &node.kind)
    };
    value(&["project", "dependencies"]).is_some()
        || value(&["tool", "poetry", "dependencies"]).is_some()
        || matches!(value(&["tool", "pixi"]), Some(Kind::Mapping(_)))
}

/// There is nothing to take, but perhaps something alike.
fn nothing(folder: &Path) -> ReadError {
    let mut alike: Vec<String> = match fs_err::read_dir(folder) {
        Ok(entries) => entries
            .take(MAX_ENTRIES)
            .filter_map(Result::ok)
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| is_alike(name))
            .collect(),
        Err(error) => {
            let text = error.to_string();
            let reason = text.rsplit_once("`: ").map_or(&*text, |(_, reason)| reason);
            let message = format!("cannot read the folder: {reason}");
            return Diagnostic::new(codes::UNREADABLE, message).in_file(folder).into();
        }
    };
    alike.sort();
    let hint = if alike.is_empty() {
        "name the file, or add one such as `environment.yaml`, `requirements.txt` or `pyproject.toml`"
            .to_owned()
    } else {
        format!("name the file; there is {}", listed(&alike))
    };
    let message = "no file in this folder is known to say what an environment needs";
    Diagnostic::new(codes::NOTHING_IN_FOLDER, message).with_hint(hint).in_file(folder).into()
}

fn is_alike(name: &str) -> bool {
    let lower = name.to_lowercase();
    let readable = lower.starts_with("dockerfile")
        || [".txt", ".in", ".yml", ".yaml", ".toml", ".json"].iter().any(|ending| lower.ends_with(ending));
    // A lock of ours is none of a definition.
    readable && ALIKE.iter().any(|start| lower.starts_with(start)) && !lower.ends_with(".lock.json")
}

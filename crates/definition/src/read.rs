//! From a file to an environment: which format it is, and all there is to say about it.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::pip::{PipReader, Role, comment_start};
use crate::yaml::{self, Kind, Node};
use crate::{Diagnostic, Environment, Place, Source, codes, native};

/// The format a file was read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Lines as pip reads them.
    Requirements,
    /// The native environment YAML, a superset of Azure ML's v2 environment.
    Native,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requirements => "requirements",
            Self::Native => "native",
        })
    }
}

/// What a file says.
#[derive(Clone, Debug)]
pub struct ReadEnvironment {
    /// The environment.
    pub environment: Environment,
    /// What is worth knowing about the file; no errors.
    pub warnings: Vec<Diagnostic>,
    /// How it was read.
    pub format: Format,
    /// Every file that was read, the first one first.
    pub files: Vec<PathBuf>,
    /// Where its parts stand.
    pub origins: Origins,
}

/// Where the parts of an environment stand in the user's files.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    pub(crate) name: Option<Place>,
    pub(crate) version: Option<Place>,
    pub(crate) image: Option<Place>,
    /// `python`.
    pub python: Option<Place>,
    /// Each of [`PipRequirements::requirements`](crate::PipRequirements::requirements).
    pub requirements: Vec<Place>,
    /// Each of [`PipRequirements::constraints`](crate::PipRequirements::constraints).
    pub constraints: Vec<Place>,
    /// Each of [`Definition::system_packages`](crate::Definition::system_packages).
    pub system_packages: Vec<Place>,
    pub(crate) variables: HashMap<String, Place>,
}

/// A file that cannot be used, with everything that is wrong with it, warnings included.
#[derive(Debug)]
pub struct ReadError(pub Vec<Diagnostic>);

impl fmt::Display for ReadError {
    /// The first error and how many more there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut errors = self.0.iter().filter(|diagnostic| diagnostic.is_error());
        if let Some(first) = errors.next() {
            write!(f, "{first}")?;
        }
        match errors.count() {
            0 => Ok(()),
            1 => f.write_str(" (and 1 more error)"),
            more => write!(f, " (and {more} more errors)"),
        }
    }
}

impl std::error::Error for ReadError {}

impl From<Diagnostic> for ReadError {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

/// Reads the definition file `path`, and the files that it includes.
pub fn read(path: &Path) -> Result<ReadEnvironment, ReadError> {
    read_source(&Source::read(path)?)
}

/// Reads `text` as if it stood in the file `path`. Files that it includes are read from disk, relative to `path`:
/// not for texts of strangers.
pub fn read_str(text: &str, path: &Path) -> Result<ReadEnvironment, ReadError> {
    read_source(&Source::decode(path, text.as_bytes())?)
}

/// Reads an environment that stands inside another YAML file, such as a job's.
pub fn read_node(source: &Source, node: &Node) -> Result<ReadEnvironment, ReadError> {
    let (read, diagnostics) = native::read(source, node);
    settle(read, diagnostics)
}

fn read_source(source: &Source) -> Result<ReadEnvironment, ReadError> {
    match format_of(source)? {
        Format::Native => match yaml::parse(source)? {
            Some(node) if is_job(&node) => {
                let hint = format!("`provenv submit {}` runs it", source.path().display());
                let problem = Diagnostic::new(codes::UNSUPPORTED_FORMAT, "this is a job, not an environment");
                Err(problem.with_hint(hint).in_file(source.path()).into())
            }
            Some(node) => read_node(source, &node),
            None => Err(Diagnostic::new(codes::INVALID_YAML, "the file is empty")
                .with_hint("an environment needs at least one key, e.g. `pip`")
                .in_file(source.path())
                .into()),
        },
        Format::Requirements => {
            let mut pip = PipReader::default();
            pip.read_source(source, Role::Requirement);
            pip.finish();
            let mut environment = Environment::default();
            environment.definition.pip = pip.pip;
            let origins = Origins {
                requirements: pip.requirements,
                constraints: pip.constraints,
                ..Origins::default()
            };
            let read = ReadEnvironment {
                environment,
                warnings: Vec::new(),
                format: Format::Requirements,
                files: pip.files,
                origins,
            };
            settle(read, pip.diagnostics)
        }
    }
}

/// Whether it has the keys that every job has and no environment.
fn is_job(node: &Node) -> bool {
    let Kind::Mapping(pairs) = &node.kind else { return false };
    let has = |name| pairs.iter().any(|(key, _)| key.text() == Some(name));
    has("environment") && has("command")
}

/// An environment with its warnings, or all that is wrong.
fn settle(mut read: ReadEnvironment, diagnostics: Vec<Diagnostic>) -> Result<ReadEnvironment, ReadError> {
    if diagnostics.iter().any(Diagnostic::is_error) {
        return Err(ReadError(diagnostics));
    }
    read.warnings = diagnostics;
    Ok(read)
}

/// The format by the file's name, or else by its content.
fn format_of(source: &Source) -> Result<Format, ReadError> {
    let name = source.path().file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let extension = source.path().extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let unsupported = |what: &str| {
        let diagnostic = Diagnostic::new(codes::UNSUPPORTED_FORMAT, format!("{what} is not read yet"))
            .with_hint("use a `requirements.txt` or an environment YAML");
        Err(diagnostic.in_file(source.path()).into())
    };
    match (&*name, &*extension) {
        (
            "pyproject.toml" | "pixi.toml" | "pylock.toml" | "pipfile" | "pipfile.lock" | "setup.py"
            | "setup.cfg",
            _,
        )
        | (_, "toml" | "lock" | "py" | "ipynb" | "cfg") => unsupported(&format!("a file like `{name}`")),
        (name, _) if name.starts_with("dockerfile") || name.ends_with(".dockerfile") => {
            unsupported("a Dockerfile")
        }
        (_, "yml" | "yaml" | "json") => Ok(Format::Native),
        _ if source.lines().any(|line| line.trim() == "@EXPLICIT") => {
            unsupported("an explicit list of conda packages")
        }
        (_, "txt" | "in" | "pip") => Ok(Format::Requirements),
        _ if is_yaml(source) => Ok(Format::Native),
        _ => Ok(Format::Requirements),
    }
}

/// Whether the first line that says something is a YAML key or document start.
fn is_yaml(source: &Source) -> bool {
    let first = source.lines().map(|line| line[..comment_start(line)].trim()).find(|line| !line.is_empty());
    first.is_some_and(|line| {
        let key = line.split_once(':').filter(|(_, value)| value.is_empty() || value.starts_with(' '));
        line == "---"
            || line.starts_with(['{', '%'])
            || key.is_some_and(|(key, _)| {
                key.chars().all(|c| c.is_ascii_alphanumeric() || "_-$\"'".contains(c))
                    && !key.starts_with('-')
            })
    })
}

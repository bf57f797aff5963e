//! From a file to an environment: which format it is, and all there is to say about it.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::document::Node;
use crate::pip::{PipReader, Role};
use crate::recognise::{self, Recognised};
use crate::{
    Diagnostic, Environment, LockedArtifacts, Place, Remarks, Source, azure, conda, dockerfile, folder,
    mlflow, native, pixi, python, spelling,
};

/// The format a file was read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Lines as pip reads them.
    Requirements,
    /// The native environment YAML, a superset of Azure ML's v2 environment.
    Native,
    /// Conda's `environment.yml`.
    CondaEnvironment,
    /// URLs of conda packages after `@EXPLICIT`.
    CondaExplicit,
    /// Specs of conda packages one a line, as `conda list --export` writes them and `conda create --file` reads them.
    CondaList,
    /// `pyproject.toml`: PEP 621 and dependency groups.
    Pyproject,
    /// `pylock.toml` (PEP 751).
    Pylock,
    /// `uv.lock`.
    UvLock,
    /// `poetry.lock`.
    PoetryLock,
    /// `pixi.toml`, or `pyproject.toml` with `tool.pixi`.
    PixiManifest,
    /// `pixi.lock`.
    PixiLock,
    /// The YAML of conda-lock.
    CondaLock,
    /// `azureml_environment.json` with the files beside it, or the JSON alone.
    AzureV1,
    /// An environment inside an Azure ML v2 job or deployment.
    AzureV2Inline,
    /// `python_env.yaml` of an MLflow model.
    MlflowPythonEnv,
    /// A Dockerfile.
    Dockerfile,
    /// A conda environment on disk.
    CondaPrefix,
    /// A virtual environment, or another Python, on disk.
    PythonPrefix,
}

impl Format {
    /// Whether a file of this format says which artifacts were chosen, so that nothing is left to resolve.
    pub fn is_lock(self) -> bool {
        matches!(
            self,
            Self::CondaExplicit
                | Self::Pylock
                | Self::UvLock
                | Self::PoetryLock
                | Self::PixiLock
                | Self::CondaLock
        )
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requirements => "requirements",
            Self::Native => "native",
            Self::CondaEnvironment => "conda-environment",
            Self::CondaExplicit => "conda-explicit",
            Self::CondaList => "conda-list",
            Self::Pyproject => "pyproject",
            Self::Pylock => "pylock",
            Self::UvLock => "uv-lock",
            Self::PoetryLock => "poetry-lock",
            Self::PixiManifest => "pixi-manifest",
            Self::PixiLock => "pixi-lock",
            Self::CondaLock => "conda-lock",
            Self::AzureV1 => "azure-v1",
            Self::AzureV2Inline => "azure-v2-inline",
            Self::MlflowPythonEnv => "mlflow-python-env",
            Self::Dockerfile => "dockerfile",
            Self::CondaPrefix => "conda-prefix",
            Self::PythonPrefix => "python-prefix",
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
    /// The artifacts it chose, if it is a lock.
    pub locked: Option<LockedArtifacts>,
}

/// Where the parts of an environment stand in the user's files.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    /// The environment's name.
    pub name: Option<Place>,
    /// Its version.
    pub version: Option<Place>,
    /// What the image stands on: `image`, `base`, `build`, a Dockerfile.
    pub base: Option<Place>,
    /// The images that the Dockerfile begins from, where the base is one.
    pub(crate) base_images: Vec<(String, Place)>,
    /// The lines of the Dockerfile's instructions, and where they stand.
    pub(crate) base_steps: Vec<(usize, Place)>,
    /// Each of [`CondaRequirements::channels`](crate::CondaRequirements::channels).
    pub channels: Vec<Place>,
    /// Each of [`CondaRequirements::packages`](crate::CondaRequirements::packages).
    pub conda: Vec<Place>,
    /// `python`.
    pub python: Option<Place>,
    /// Each of [`PipRequirements::requirements`](crate::PipRequirements::requirements).
    pub requirements: Vec<Place>,
    /// Each of [`PipRequirements::constraints`](crate::PipRequirements::constraints).
    pub constraints: Vec<Place>,
    /// Each of [`Definition::system_packages`](crate::Definition::system_packages).
    pub system_packages: Vec<Place>,
    /// `interpreter_path`.
    pub interpreter_path: Option<Place>,
    /// `user_managed`.
    pub user_managed: Option<Place>,
    pub(crate) variables: HashMap<String, Place>,
    /// What the reader has seen and the model does not hold: remarks for whoever checks the file, not for whoever uses it.
    pub(crate) noticed: Remarks,
}

impl Origins {
    /// Where the instruction stands that begins at this line of the Dockerfile.
    pub fn step(&self, line: usize) -> Option<&Place> {
        self.base_steps.iter().find(|(begins, _)| *begins == line).map(|(_, place)| place)
    }

    /// What stays true of an environment that was made by extending another one with this file's: lists have the other's
    /// items as well.
    #[must_use]
    pub fn of_single_values(self) -> Self {
        let Self { name, version, base, python, interpreter_path, user_managed, .. } = self;
        Self { name, version, base, python, interpreter_path, user_managed, ..Self::default() }
    }
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

impl ReadEnvironment {
    /// An environment that is still to be filled, read from `source` as `format`.
    pub(crate) fn new(format: Format, source: &Source) -> Self {
        Self {
            environment: Environment::default(),
            warnings: Vec::new(),
            format,
            files: vec![source.path().to_owned()],
            origins: Origins::default(),
            locked: None,
        }
    }

    /// Takes over what `pip` has read, without its diagnostics.
    pub(crate) fn take_pip(&mut self, pip: PipReader) -> Remarks {
        self.environment.definition.pip = pip.pip;
        self.origins.requirements = pip.requirements;
        self.origins.constraints = pip.constraints;
        self.files
            .extend(pip.files.into_iter().filter(|file| !self.files.contains(file)).collect::<Vec<_>>());
        pip.diagnostics
    }
}

/// A reader's result: what it could read, and all there is to say about it.
pub(crate) type Reading = (ReadEnvironment, Remarks);

/// Reads the definition at `path`, and the files that it includes. Of a folder, the file that says most is taken.
pub fn read(path: &Path) -> Result<ReadEnvironment, ReadError> {
    if path.is_dir() {
        return folder::read(path);
    }
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

pub(crate) fn read_source(source: &Source) -> Result<ReadEnvironment, ReadError> {
    let (read, diagnostics) = match recognise::format_of(source)? {
        Recognised::Lines(Format::Requirements) => read_requirements(source),
        Recognised::Lines(Format::Dockerfile) => dockerfile::read(source),
        Recognised::Lines(Format::CondaExplicit) => conda::explicit::read(source),
        Recognised::Lines(_) => conda::list::read(source),
        Recognised::Document(format, node) => match format {
            Format::CondaEnvironment => conda::environment::read(source, &node),
            Format::CondaLock => conda::lock::read(source, &node),
            Format::PixiLock => pixi::lock::read(source, &node),
            Format::PixiManifest => pixi::manifest::read(source, &node),
            Format::Pyproject => python::pyproject::read(source, &node),
            Format::Pylock => python::pylock::read(source, &node),
            Format::UvLock => python::uv_lock::read(source, &node),
            Format::PoetryLock => python::poetry_lock::read(source, &node),
            Format::AzureV1 => azure::v1::read(source, &node),
            Format::AzureV2Inline => azure::inline::read(source, &node),
            Format::MlflowPythonEnv => mlflow::read(source, &node),
            _ => native::read(source, &node),
        },
    };
    settle(read, diagnostics)
}

fn read_requirements(source: &Source) -> Reading {
    let mut pip = PipReader::default();
    pip.read_source(source, Role::Requirement);
    pip.finish();
    let mut read = ReadEnvironment::new(Format::Requirements, source);
    let diagnostics = read.take_pip(pip);
    (read, diagnostics)
}

/// An environment with its warnings, or all that is wrong.
pub(crate) fn settle(mut read: ReadEnvironment, diagnostics: Remarks) -> Result<ReadEnvironment, ReadError> {
    if diagnostics.iter().any(Diagnostic::is_error) {
        return Err(ReadError(diagnostics.into_vec()));
    }
    spelling::unify(&mut read.environment.definition);
    read.warnings = diagnostics.into_vec();
    Ok(read)
}

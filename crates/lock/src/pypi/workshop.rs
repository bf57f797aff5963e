//! A source with all that its build needs beside it: from here on no network and no credentials.
//!
//! Everything is fetched before the package's code first runs. What `pyproject.toml` asks for is chosen like the
//! environment's own packages, and installed from the store; then the backend is asked what else it needs (PEP 517), and
//! that is chosen in the same way.

use std::path::{Path, PathBuf};
use std::pin::Pin;

use provenv_definition::Requirement;
use serde::Deserialize;
use tempfile::TempDir;

use super::build::{Origin, label};
use super::compile::{Question, compile};
use super::pylock::{Package, Vcs};
use super::session::{BUILD_ENVIRONMENT, Failure, Output, Session, UV, WORK, mount};
use super::{Error, Result, choose, explain, metadata};
use crate::tool::ToolMount;
use crate::{PypiPackage, PypiSource, Upgrade};

const SOURCE: &str = include_str!("scripts/source.py");
const BACKEND: &str = include_str!("scripts/backend.py");
const INSTALL: &str = "set -eu; uv=\"$1\" python=\"$2\" environment=\"$3\"; shift 3; \
                       [ -e \"$environment\" ] || \"$uv\" venv --quiet --python \"$python\" \"$environment\"; \
                       [ $# -eq 0 ] || \"$uv\" pip install --quiet --no-index --no-deps \
                       --python \"$environment/bin/python\" \"$@\"";

/// Stands before and after the backend's answer.
const MARK: &str = "\u{1e}provenv\u{1e}";

/// Where a build leaves its wheel, in [`WORK`].
const OUT: &str = "out";

/// A source ready to be built.
pub(super) struct Workshop<'s, 'a> {
    session: &'s Session<'a>,
    package: String,
    work: TempDir,
    mounts: Vec<ToolMount>,
    /// The source's folder in the sandbox.
    source: String,
    system: BuildSystem,
}

/// `[build-system]` of `pyproject.toml` (PEP 518).
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct BuildSystem {
    requires: Vec<String>,
    build_backend: Option<String>,
    #[serde(default)]
    backend_path: Vec<String>,
}

impl<'s, 'a> Workshop<'s, 'a> {
    /// Fetches the source of `package` and what its build needs.
    pub(super) async fn open(session: &'s Session<'a>, package: &Package, origin: &Origin) -> Result<Self> {
        let identity = origin.identity();
        let package = label(package);
        if session.making.contains(&identity) {
            return Err(Error::BadSource { package, reason: "its build needs itself".to_owned() });
        }
        let work = session.work()?;
        let mut mounts = Vec::new();
        let (source, subdirectory) = match origin {
            Origin::Archive { artifact, file, subdirectory } => {
                let size = Some(artifact.size).filter(|size| *size > 0);
                let blob = session.fetcher.artifact(&artifact.url, &artifact.sha256, size).await?;
                let guest = format!("/provenv/source/{file}");
                mounts.push(mount(blob, &guest, true));
                (guest, subdirectory)
            }
            Origin::Repository(vcs) => (clone(session, vcs, work.path()).await?, &vcs.subdirectory),
            Origin::Folder { path, subdirectory, .. } => {
                let snapshot = session.request.snapshot(path);
                let snapshot = snapshot.ok_or_else(|| Error::NoSource { package: package.clone() })?;
                mounts.push(mount(snapshot.folder.path().to_owned(), path, false));
                (path.display().to_string(), subdirectory)
            }
        };
        let mut workshop = Self { session, package, work, mounts, source, system: BuildSystem::legacy() };
        workshop.look(subdirectory.as_deref().unwrap_or_default()).await?;
        let session = session.beneath(identity);
        let requires = workshop.system.requires.clone();
        workshop.install(&session, &requires).await?;
        let more: Vec<String> = serde_json::from_str(&workshop.run("requires").await?)
            .map_err(|error| workshop.bad(format!("its backend asks for what cannot be read: {error}")))?;
        if !more.is_empty() {
            workshop.install(&session, &[requires, more].concat()).await?;
        }
        Ok(workshop)
    }

    /// The text of `METADATA`.
    pub(super) async fn metadata(&self) -> Result<String> {
        self.run("metadata").await
    }

    /// Makes the wheel; the folder on this machine that holds it.
    pub(super) async fn wheel(&self) -> Result<PathBuf> {
        self.run("build").await?;
        Ok(self.work.path().join(OUT))
    }

    /// Unpacks the source and reads how it wants to be built.
    async fn look(&mut self, subdirectory: &str) -> Result<()> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Looked {
            Found(Found),
            Refused { refused: String },
        }
        #[derive(Deserialize)]
        struct Found {
            source: String,
            pyproject: String,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        struct PyProject {
            build_system: Option<BuildSystem>,
        }

        let command = [&self.session.python.executable, "-c", SOURCE, &self.source, subdirectory];
        let output = self.sandbox(&command.map(str::to_owned)).await?;
        let found: Looked =
            serde_json::from_str(&output.stdout).map_err(|error| self.bad(error.to_string()))?;
        let found = match found {
            Looked::Found(found) => found,
            Looked::Refused { refused } => return Err(self.bad(refused)),
        };
        let project: PyProject = toml::from_str(&found.pyproject)
            .map_err(|error| self.bad(format!("its pyproject.toml cannot be read: {}", error.message())))?;
        self.source = found.source;
        if let Some(system) = project.build_system {
            self.system = system;
        }
        Ok(())
    }

    /// Installs what `requires` asks for into the environment of the build. `session` is that of what is beneath.
    async fn install(&mut self, session: &Session<'_>, requires: &[String]) -> Result<()> {
        let requires = requires.iter().map(|text| metadata::foreign(text));
        let requires: Vec<Requirement> =
            requires.collect::<Result<_, _>>().map_err(|reason| self.bad(reason))?;
        let mut wheels = Vec::new();
        for package in needed(session, requires).await.map_err(|error| self.missing(error))? {
            let path = match &package.source {
                PypiSource::Wheel(artifact) => {
                    let size = Some(artifact.size).filter(|size| *size > 0);
                    session.fetcher.artifact(&artifact.url, &artifact.sha256, size).await?
                }
                PypiSource::Built { sha256, .. } => session.fetcher.store().path(sha256),
            };
            let guest = format!("/provenv/wheels/{}", package.wheel);
            self.mounts.retain(|mount| mount.guest != Path::new(&guest));
            self.mounts.push(mount(path, &guest, true));
            wheels.push(guest);
        }
        let fixed = ["/bin/sh", "-c", INSTALL, "sh", UV, &self.session.python.executable, BUILD_ENVIRONMENT];
        let command: Vec<String> = fixed.map(str::to_owned).into_iter().chain(wheels).collect();
        self.sandbox(&command).await.map(drop)
    }

    /// Lets the backend do something; its answer.
    async fn run(&self, action: &str) -> Result<String> {
        let (python, out) = (format!("{BUILD_ENVIRONMENT}/bin/python"), format!("{WORK}/{OUT}"));
        let backend = self.system.build_backend.as_deref().unwrap_or(LEGACY);
        let paths = serde_json::to_string(&self.system.backend_path).expect("a list of texts");
        let command = [&python, "-c", BACKEND, action, &self.source, backend, &paths, &out];
        let stdout = self.sandbox(&command.map(str::to_owned)).await?.stdout;
        Ok(stdout.rsplit(MARK).nth(1).unwrap_or_default().to_owned())
    }

    async fn sandbox(&self, command: &[String]) -> Result<Output> {
        let result = self.session.build(command, self.work.path(), &self.mounts).await?;
        result.map_err(|failure| {
            let kept = self.keep_log(command, &failure);
            explain::build_failure(&self.package, &failure.stdout, &failure.stderr, kept)
        })
    }

    /// Writes all that a failed build said to a file, in place of what the last failure left there. A log that cannot be
    /// written must not hide why the build failed.
    fn keep_log(&self, command: &[String], failure: &Failure) -> Option<PathBuf> {
        let folder = self.session.logs.as_ref()?;
        let name =
            self.package.chars().map(|c| if c.is_ascii_alphanumeric() || "._".contains(c) { c } else { '-' });
        let path =
            folder.join(format!("wheel-{}.log", name.take(100).collect::<String>().replace("--", "-")));
        let step =
            command.iter().skip_while(|word| *word != BACKEND).nth(1).map_or("prepare", |word| &**word);
        let Failure { code, stdout, stderr } = failure;
        let text = format!(
            "{step} of {}: exit code {code}\n\n--- standard output ---\n{stdout}\n--- standard error ---\n{stderr}\n",
            self.package
        );
        fs_err::create_dir_all(folder).and_then(|()| fs_err::write(&path, text)).ok()?;
        Some(path)
    }

    fn bad(&self, reason: String) -> Error {
        Error::BadSource { package: self.package.clone(), reason }
    }

    /// Why what the build needs cannot be had, where that is the package's own doing.
    fn missing(&self, error: Error) -> Error {
        match error {
            Error::NoPackage { .. }
            | Error::NotLinked { .. }
            | Error::Conflict { .. }
            | Error::Python { .. }
            | Error::NoFile { .. } => explain::build_failure(
                &self.package,
                "",
                &format!("what it needs to be built cannot be had: {error}"),
                None,
            ),
            error => error,
        }
    }
}

/// What builds a source that does not say (PEP 517).
const LEGACY: &str = "setuptools.build_meta:__legacy__";

impl BuildSystem {
    fn legacy() -> Self {
        Self { requires: vec!["setuptools>=40.8".to_owned()], build_backend: None, backend_path: Vec::new() }
    }
}

/// A wheel for each package that a build needs; those that have to be built need others in turn.
fn needed<'f>(
    session: &'f Session<'_>,
    requirements: Vec<Requirement>,
) -> Pin<Box<dyn Future<Output = Result<Vec<PypiPackage>>> + Send + 'f>> {
    Box::pin(async move {
        if requirements.is_empty() {
            return Ok(Vec::new());
        }
        let question = Question {
            requirements,
            constraints: Vec::new(),
            arguments: Vec::new(),
            previous: &[],
            upgrade: &Upgrade::None,
        };
        choose::needed(session, &compile(session, question).await?).await
    })
}

/// A repository with all its history, which some builds take their version from, and its submodules; as a path in
/// the sandbox.
async fn clone(session: &Session<'_>, vcs: &Vcs, work: &Path) -> Result<String> {
    let script = "set -eu; git clone --quiet --no-checkout \"$1\" source; cd source; \
                  git checkout --quiet --detach \"$2\" 2>/dev/null || \
                  { git fetch --quiet origin \"$2\"; git checkout --quiet --detach \"$2\"; }; \
                  git submodule --quiet update --init --recursive";
    let command = ["/bin/sh", "-c", script, "sh", &vcs.url, &vcs.commit_id].map(str::to_owned);
    match session.fetch(&command, work).await? {
        Ok(_) => Ok(format!("{WORK}/source")),
        Err(failure) => Err(Error::Git { explanation: failure.stderr.trim_end().to_owned().into() }),
    }
}

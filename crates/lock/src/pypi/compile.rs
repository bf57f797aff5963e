//! uv's choice of versions, for which no package's code is run where credentials are.
//!
//! What a package needs is not always written down: an old sdist must be asked. uv would run its build backend there and
//! then, beside the credentials of the indexes. So Python does not start for it ([`Session::resolve`]); uv says which
//! package it could not ask, that one is asked where nothing secret is and no network ([`build::metadata`]), uv is told
//! the answer, and chooses again.

use std::collections::BTreeSet;

use provenv_definition::{Requirement, normalise_name};

use super::choose;
use super::clash::{self, Clash};
use super::environment::write_private;
use super::metadata::{self, Metadata};
use super::pylock::{Package, Pylock};
use super::session::{NO_BUILDS, Session, WORK};
use super::stub::Stubs;
use super::{Error, Explanation, Result, build, explain};
use crate::{PypiPackage, Upgrade};

/// As often may a branch move on between two looks at it.
const MOST_MOVES: usize = 3;

/// Stands for the name of a package that has none yet.
const UNNAMED: &str = "provenv-unnamed";

/// What uv is asked.
pub(super) struct Question<'a> {
    pub requirements: Vec<Requirement>,
    pub constraints: Vec<Requirement>,
    /// Options of uv's.
    pub arguments: Vec<String>,
    /// Versions that are preferred, as far as `upgrade` lets them.
    pub previous: &'a [PypiPackage],
    pub upgrade: &'a Upgrade,
}

/// What was learnt of a package.
struct Fact {
    metadata: Metadata,
    /// Where the requirement itself says where the package is, so that there is one version only.
    direct: bool,
    /// The commit, if it is a repository's.
    commit: Option<String>,
}

/// Lets uv choose versions.
pub(super) async fn compile(session: &Session<'_>, mut question: Question<'_>) -> Result<Pylock> {
    let mut facts: Vec<Fact> = Vec::new();
    let mut moves = 0;
    let stubs = session.stubs.as_deref();
    let mut shadowed = stubs.map(|stubs| stubs.shadowed(&question.requirements)).unwrap_or_default();
    if let Some(stubs) = stubs {
        refuse(stubs, &question, &shadowed)?;
    }
    loop {
        let conda = stubs.map(|stubs| stubs.constraints(&shadowed)).unwrap_or_default();
        let failure = match run(session, &question, &facts, &conda).await? {
            Ok(lock) => {
                // A branch may have moved on between the two looks at it.
                let stale = |fact: &Fact| lock.packages.iter().any(|package| fact.is_stale(package));
                let gone = facts.iter().find(|fact| stale(fact)).map(|fact| fact.metadata.name.clone());
                if let Some(package) = gone {
                    facts.retain(|fact| !stale(fact));
                    moves += 1;
                    if moves > MOST_MOVES {
                        let reason = "its repository changes with every look".to_owned();
                        return Err(Error::BadSource { package, reason });
                    }
                    continue;
                }
                for warning in &lock.warnings {
                    session.fetcher.reporter().note(warning);
                }
                return Ok(lock);
            }
            Err(failure) => failure,
        };
        if let Some(stubs) = stubs
            && let Some(name) = explain::two_places(&failure.stderr).filter(|name| stubs.get(name).is_some())
            && asks_unnamed(&question, &failure.stderr)
            && shadowed.insert(name.to_owned())
        {
            // Only uv knew what the file is called.
            continue;
        }
        if !failure.stderr.contains(NO_BUILDS) {
            let error = session.explain(&failure);
            return Err(match stubs {
                Some(stubs) => clash::blame(error, stubs, &shadowed),
                None => error,
            });
        }
        let unknown = || session.explain(&failure);
        let fact = if let Some(text) = explain::unbuilt(&failure.stderr) {
            let requirement: Requirement = text.parse().map_err(|_| unknown())?;
            let name = requirement.name.clone().ok_or_else(unknown)?;
            // As the definition has it, with its credentials.
            let own = question.requirements.iter().find(|own| own.name.as_ref() == Some(&name));
            let own = own.filter(|_| requirement.url.is_some());
            if let (None, Some(url)) = (own, &requirement.url)
                && url.contains("${")
            {
                let reason = format!("it is asked for at `{url}`, which names a variable");
                return Err(Error::BadSource { package: name, reason });
            }
            learn(session, &question, own.unwrap_or(&requirement)).await?
        } else {
            let unnamed = question.requirements.iter().position(|requirement| requirement.name.is_none());
            let at = unnamed.ok_or_else(unknown)?;
            let fact = learn(session, &question, &question.requirements[at]).await?;
            question.requirements[at].name = Some(fact.metadata.name.clone());
            shadowed.extend(stubs.map(|stubs| stubs.shadowed(&question.requirements)).unwrap_or_default());
            fact
        };
        if facts.iter().any(|known| known.is_of(&fact.metadata) && known.commit == fact.commit) {
            // uv was told this already, and it did not help.
            return Err(unknown());
        }
        facts.retain(|known| !known.is_of(&fact.metadata));
        facts.push(fact);
    }
}

impl Fact {
    fn is_of(&self, other: &Metadata) -> bool {
        self.metadata.name == other.name && (self.direct || self.metadata.version == other.version)
    }

    fn is_stale(&self, package: &Package) -> bool {
        self.commit.is_some()
            && normalise_name(&package.name) == self.metadata.name
            && package.vcs.as_ref().map(|vcs| &vcs.commit_id) != self.commit.as_ref()
    }
}

/// Refuses what the definition itself asks of pip and conda's versions do not fulfil: uv would not know whose they are.
fn refuse(stubs: &Stubs<'_>, question: &Question<'_>, shadowed: &BTreeSet<String>) -> Result<()> {
    let refused = stubs.refused(&question.requirements);
    let clashes: Vec<Clash> = refused
        .filter(|(installed, _)| !shadowed.contains(&installed.name))
        .map(|(installed, requirement)| Clash::new(None, requirement.to_string(), installed))
        .collect();
    if clashes.is_empty() {
        return Ok(());
    }
    Err(Error::Clash { clashes, explanation: Explanation::default() })
}

/// Whether `text` has the URL of a requirement that has no name.
fn asks_unnamed(question: &Question<'_>, text: &str) -> bool {
    let mut unnamed = question.requirements.iter().filter(|requirement| requirement.name.is_none());
    unnamed.any(|requirement| requirement.url.as_ref().is_some_and(|url| text.contains(url.as_str())))
}

/// Asks a package what it needs.
async fn learn(session: &Session<'_>, question: &Question<'_>, requirement: &Requirement) -> Result<Fact> {
    let mut package = locate(session, question, requirement).await?;
    if requirement.name.is_none() {
        package.name = session.request.environment().conceal(&requirement.to_string());
    }
    let origin = choose::origin(session, &package).await?;
    choose::admit_source(session, &package, &origin)?;
    let metadata = build::metadata(session, &package, &origin).await?;
    let direct = requirement.url.is_some();
    let wrong = requirement.name.as_ref().is_some_and(|name| *name != metadata.name)
        || (!direct
            && !package.version.as_ref().is_some_and(|asked| build::same_version(asked, &metadata.version)));
    if wrong {
        let reason = format!("it says that it is {} {}", metadata.name, metadata.version);
        return Err(Error::BadSource { package: build::label(&package), reason });
    }
    Ok(Fact { metadata, direct, commit: package.vcs.map(|vcs| vcs.commit_id) })
}

/// Where a package is, whatever it needs.
async fn locate(
    session: &Session<'_>,
    question: &Question<'_>,
    requirement: &Requirement,
) -> Result<Package> {
    let direct = requirement.url.is_some();
    let mut requirement = requirement.clone();
    let name = requirement.name.get_or_insert_with(|| UNNAMED.to_owned()).clone();
    let fact = Fact { metadata: Metadata::nothing(&name, "0"), direct: true, commit: None };
    requirement.marker = None;
    requirement.extras.clear();
    let alone = Question {
        arguments: question.arguments.iter().cloned().chain(["--no-deps".to_owned()]).collect(),
        constraints: Vec::new(),
        // Commits are preferred as in the question itself.
        previous: question.previous,
        upgrade: question.upgrade,
        requirements: vec![requirement],
    };
    let mut lock = match run(session, &alone, &[fact], "").await? {
        Ok(lock) => lock,
        Err(failure) => return Err(session.explain(&failure)),
    };
    lock.packages.retain(|package| normalise_name(&package.name) == name);
    let mut package = lock.packages.pop().ok_or(Error::NoSource { package: name })?;
    if direct {
        // The one we made up.
        package.version = None;
    }
    Ok(package)
}

/// Asks uv once. `conda` are constraints that stand for what conda installs.
async fn run(
    session: &Session<'_>,
    question: &Question<'_>,
    facts: &[Fact],
    conda: &str,
) -> Result<Result<Pylock, super::session::Failure>> {
    let work = session.work()?;
    // Credentials are in all of them.
    let write = |name: &str, text: String| write_private(&work.path().join(name), &text);
    let lines = |all: &[Requirement]| {
        all.iter().flat_map(|requirement| [requirement.to_string(), "\n".to_owned()]).collect::<String>()
    };
    write("requirements.in", lines(&question.requirements))?;
    let places = session.request.environment().settings();
    write("uv.toml", metadata::settings(places, facts.iter().map(|fact| &fact.metadata)))?;
    let output = work.path().join("pylock.toml");

    let mut arguments = question.arguments.clone();
    match question.upgrade {
        Upgrade::All => arguments.push("--upgrade".to_owned()),
        Upgrade::None => {}
        Upgrade::Packages(names) => {
            for name in names {
                arguments.extend(["--upgrade-package".to_owned(), normalise_name(name)]);
            }
        }
    }
    if !question.previous.is_empty() && *question.upgrade != Upgrade::All {
        fs_err::write(&output, Pylock::preferring(question.previous.iter()).to_text())?;
    }
    if !question.constraints.is_empty() || !conda.is_empty() {
        write("constraints.in", lines(&question.constraints) + conda)?;
        arguments.extend(["--constraints".to_owned(), format!("{WORK}/constraints.in")]);
    }
    let fixed = [
        &format!("{WORK}/requirements.in"),
        "--output-file",
        &format!("{WORK}/pylock.toml"),
        "--format",
        "pylock.toml",
        "--generate-hashes",
        "--no-header",
        "--no-annotate",
        "--python-version",
        &session.python.version,
        "--python-platform",
        &session.python_platform(),
    ];
    arguments.extend(fixed.map(str::to_owned));
    match session.resolve(&arguments, work.path()).await? {
        Ok(stderr) => {
            let mut lock = Pylock::parse(&fs_err::read_to_string(&output)?)?;
            lock.warnings = explain::warnings(&stderr).map(str::to_owned).collect();
            Ok(Ok(lock))
        }
        Err(failure) => Ok(Err(failure)),
    }
}

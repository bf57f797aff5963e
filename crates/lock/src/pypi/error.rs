//! What goes wrong when Python packages are chosen.

use std::io;
use std::path::PathBuf;

use provenv_definition::{Digest, Format, SafeUrl};

use super::clash::{self, Clash};
use super::explain::Explanation;
use super::uv;
use crate::advice;

/// What goes wrong when Python packages are chosen. No message holds credentials.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An index names a variable of this machine in the URL of a file.
    #[error("an index leads to `{url}`, which names a variable: only a definition may do that")]
    VariableFromIndex {
        /// The URL as it came.
        url: String,
    },
    /// uv is not in the store and could not be had.
    #[error("could not get uv {}: {}", uv::VERSION, .reasons.join("; "))]
    NoUv {
        /// Every way that was tried, and why it did not lead there.
        reasons: Vec<String>,
    },
    /// A wheel of uv without the executable.
    #[error("the wheel of uv at `{}` is not one", .path.display())]
    BadUvWheel {
        /// The file.
        path: PathBuf,
        /// Why.
        source: zip::result::ZipError,
    },
    /// The named wheel of uv is another than the pinned one.
    #[error("`{}` is not the wheel of uv {} for this machine: its sha256 is {actual}, expected {expected}", .path.display(), uv::VERSION)]
    OtherUvWheel {
        /// The file.
        path: PathBuf,
        /// The pinned digest.
        expected: Digest,
        /// Its digest.
        actual: Digest,
    },
    /// A lock of another tool that has two versions of a package for one target.
    #[error("the lock has `{package}` twice for this target: {}", .versions.join(" and "))]
    LockedTwice {
        /// The package.
        package: String,
        /// Its versions.
        versions: Vec<String>,
    },
    /// A lock of another tool that was made for other Pythons.
    #[error(
        "{} made for Python {bounds}, and the environment has Python {python}",
        .package.as_ref().map_or("the lock is".to_owned(), |package| format!("`{package}` of the lock is"))
    )]
    LockedForOtherPython {
        /// The package that says so; `None` where the lock itself does.
        package: Option<String>,
        /// What it was made for.
        bounds: String,
        /// What there is.
        python: String,
    },
    /// A requirement that is not in the normal form of a definition.
    #[error("`{requirement}` is not a requirement")]
    Requirement {
        /// Its text.
        requirement: String,
        /// What is wrong with it.
        source: Box<provenv_definition::RequirementError>,
    },
    /// A URL names a variable that is not set.
    #[error("`{url}` needs the environment variable {variable}, which is not set")]
    Variable {
        /// The URL with its variables as they were written.
        url: String,
        /// The name of the variable.
        variable: String,
    },
    /// A requirement or an index names a local path where nothing is.
    #[error("`{}` does not exist", .path.display())]
    NoLocal {
        /// The path.
        path: PathBuf,
    },
    /// This machine names an index that cannot be asked.
    #[error("the index `{url}` in {place} is not an http, https or file URL")]
    Index {
        /// The variable, or the file and its line.
        place: String,
        /// The text, credentials masked.
        url: String,
    },
    /// A `uv.toml`, which may name an index, cannot be read.
    #[error("{}: {message}", .path.display())]
    UvSettings {
        /// The file.
        path: PathBuf,
        /// Where and why, secrets masked.
        message: String,
    },
    /// The sandbox could not be started.
    #[error("could not run `{program}` in the sandbox")]
    Sandbox {
        /// What was to be run.
        program: String,
        /// Why it was not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No index has the package.
    #[error("no index has the package `{package}`\n{explanation}")]
    NoPackage {
        /// Its name.
        package: String,
        /// uv's words.
        explanation: Explanation,
    },
    /// No index may be asked, and what is linked does not have the package.
    #[error("`{package}` is in none of the places that may be asked\n{explanation}")]
    NotLinked {
        /// Its name.
        package: String,
        /// uv's words.
        explanation: Explanation,
    },
    /// A local folder that is not the source of a package.
    #[error("`{}` is not a Python project: it has no pyproject.toml and no setup.py", .path.display())]
    NoProject {
        /// The folder.
        path: PathBuf,
    },
    /// No choice of versions satisfies everything.
    #[error("no choice of versions satisfies the requirements\n{explanation}")]
    Conflict {
        /// uv's words.
        explanation: Explanation,
    },
    /// pip asks for another version than the one that conda installs.
    #[error("{}{}{explanation}", clash::text(.clashes), if .explanation.text.is_empty() { "" } else { "\n" })]
    Clash {
        /// Who wants what.
        clashes: Vec<Clash>,
        /// uv's words, if it was asked.
        explanation: Explanation,
    },
    /// No version is for this Python.
    #[error("a package is not made for Python {python}\n{explanation}")]
    Python {
        /// The environment's version of Python.
        python: String,
        /// uv's words.
        explanation: Explanation,
    },
    /// There are files, but none that may be used here.
    #[error("a package has no file that may be used on {target}\n{explanation}")]
    NoFile {
        /// Python, machine and glibc.
        target: String,
        /// uv's words, or ours.
        explanation: Explanation,
    },
    /// An index did not accept who we are.
    #[error("an index refused to answer\n{explanation}")]
    Unauthorized {
        /// uv's words.
        explanation: Explanation,
    },
    /// An index could not be reached.
    #[error("an index could not be reached\n{explanation}")]
    Network {
        /// uv's words.
        explanation: Explanation,
    },
    /// The network is not to be used, and uv's cache does not have it.
    #[error("a package is not cached, and the network is not to be used\n{explanation}")]
    Offline {
        /// uv's words.
        explanation: Explanation,
    },
    /// A repository could not be had.
    #[error("a git repository could not be fetched\n{explanation}")]
    Git {
        /// uv's or git's words.
        explanation: Explanation,
    },
    /// An sdist, repository or folder does not become a wheel.
    #[error("could not build `{package}`\n{log}{}", .kept.as_ref().map(|path| format!("\nall it said is in `{}`", path.display())).unwrap_or_default())]
    Build {
        /// What was built.
        package: String,
        /// The last lines of what the build said.
        log: String,
        /// The file with all that it said.
        kept: Option<PathBuf>,
        /// A program that it says is missing, e.g. a compiler.
        missing: Option<&'static str>,
        /// The Debian package that has what it says is missing, in words.
        debian: Option<String>,
        /// Whether it says that there is no network.
        network: bool,
    },
    /// A build made a wheel of another package, version or platform.
    #[error("building `{package}` made `{wheel}`, which is not {expected}")]
    BuiltWheel {
        /// What was built.
        package: String,
        /// The file it made.
        wheel: String,
        /// What was expected, e.g. "version 1.0 of it".
        expected: String,
    },
    /// A source says what cannot be, e.g. of its version, or of what its build needs.
    #[error("the source of `{package}` cannot be used: {reason}")]
    BadSource {
        /// The package.
        package: String,
        /// What it says.
        reason: String,
    },
    /// None of the files that may be used has one of the hashes given.
    #[error("no file of `{package}` {version} has a hash that the definition gives")]
    Hash {
        /// The package.
        package: String,
        /// Its version.
        version: String,
        /// What the definition admits.
        expected: Vec<Digest>,
        /// What the index offers for this platform.
        actual: Vec<Digest>,
    },
    /// Some requirements have hashes, so that all packages must.
    #[error("the definition gives hashes, but none for {}", .packages.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))]
    Unhashed {
        /// Packages without.
        packages: Vec<String>,
    },
    /// uv failed in a way we do not know.
    #[error("uv failed with exit code {code}\n{explanation}")]
    Uv {
        /// Its exit code.
        code: i32,
        /// Its words.
        explanation: Explanation,
    },
    /// uv's answer cannot be read.
    #[error("could not read the lock that uv wrote")]
    Pylock(#[from] toml::de::Error),
    /// uv's answer does not say where a package is.
    #[error("the lock that uv wrote does not say where `{package}` is")]
    NoSource {
        /// The package.
        package: String,
    },
    /// A URL in uv's answer or in an index that is none.
    #[error("`{url}` is not a URL")]
    Url {
        /// The text, credentials masked.
        url: String,
        /// Why.
        source: url::ParseError,
    },
    /// Bytes could not be fetched.
    #[error(transparent)]
    Fetch(#[from] provenv_fetch::Error),
    /// Bytes could not be kept.
    #[error(transparent)]
    Store(#[from] provenv_store::Error),
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Error {
    /// What the user can do about it, and what uv says to it, a line each.
    pub fn hint(&self) -> Option<String> {
        self.hint_for(None)
    }

    /// The same for a user whose file has this format.
    pub fn hint_for(&self, format: Option<Format>) -> Option<String> {
        let uv = self.explanation().map(|explanation| &explanation.hints[..]).unwrap_or_default();
        let lines: Vec<String> = self.own_hint(format).into_iter().chain(uv.iter().cloned()).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    /// uv's words, or git's.
    pub(super) fn explanation(&self) -> Option<&Explanation> {
        match self {
            Self::NoPackage { explanation, .. }
            | Self::NotLinked { explanation, .. }
            | Self::Conflict { explanation }
            | Self::Clash { explanation, .. }
            | Self::Python { explanation, .. }
            | Self::NoFile { explanation, .. }
            | Self::Unauthorized { explanation }
            | Self::Network { explanation }
            | Self::Offline { explanation }
            | Self::Git { explanation }
            | Self::Uv { explanation, .. } => Some(explanation),
            _ => None,
        }
    }

    fn own_hint(&self, format: Option<Format>) -> Option<String> {
        Some(match self {
            Self::NoUv { .. } => format!(
                "uv is fetched from the index of PROVENV_PYPI_INDEX, UV_DEFAULT_INDEX, UV_INDEX_URL, PIP_INDEX_URL, \
                 uv.toml or pip.conf, else by pip where it is installed; without any of these, bring the file `{}` \
                 here and name it in PROVENV_UV_WHEEL",
                uv::wheel().0
            ),
            Self::BadUvWheel { .. } | Self::OtherUvWheel { .. } => {
                format!("PROVENV_UV_WHEEL must name the file `{}`", uv::wheel().0)
            }
            Self::LockedTwice { .. } => "have the tool that wrote the lock write it for one platform and Python".into(),
            Self::LockedForOtherPython { bounds, .. } => format!(
                "lock again for this Python with the tool that wrote it, or make an environment YAML with the same packages \
                 and a `python` that fits {bounds}"
            ),
            Self::Variable { variable, .. } => format!("export {variable} before running provenv"),
            Self::Index { url, .. } => {
                let rest = url.split_once("://").map_or(&**url, |(_, rest)| rest).trim_start_matches("./");
                format!("write `https://{rest}`, or the absolute path of a folder")
            }
            Self::UvSettings { .. } => {
                "mend it: another index than the one meant could bring a stranger's packages".into()
            }
            Self::NoLocal { .. } => "check the path; relative ones start from the definition's folder".into(),
            Self::NoPackage { package, .. } => {
                format!("check the spelling of `{package}`, and that the index that has it is among the definition's")
            }
            Self::NotLinked { package, .. } => format!(
                "`--no-index` forbids asking an index: name a folder or page that has `{package}` with --find-links, or \
                 drop `--no-index`"
            ),
            Self::NoProject { .. } => {
                "name the folder of the project, which is often the one above or below; a folder of modules without either \
                 file needs no line: send it along with the job"
                    .into()
            }
            Self::Conflict { explanation } => conflict_hint(explanation),
            Self::Clash { clashes, .. } => clash::hint(clashes),
            Self::Python { python, .. } => format!(
                "ask for another version of the package, or for another Python than {python} {}",
                advice::another_python(format)
            ),
            Self::NoFile { target, explanation } if !explanation.text.contains("building from source") => format!(
                "none of its wheels is for {target}, and there is no source that one could be built from: ask for another \
                 version, or for another Python {}",
                advice::another_python(format)
            ),
            Self::NoFile { .. } => {
                "ask for another version or another Python, or allow building it from source (only-binary)".into()
            }
            Self::Unauthorized { .. } => {
                "give credentials in PROVENV_INDEX_<HOST>_USERNAME and PROVENV_INDEX_<HOST>_PASSWORD, in ~/.netrc, as \
                 ${VARIABLE} in the index's URL, or in a keyring"
                    .into()
            }
            Self::Network { explanation } if explanation.text.contains("certificate") => {
                "this machine does not trust the authority of the server's certificate: add it to the system's, or name a \
                 file with it in SSL_CERT_FILE"
                    .into()
            }
            Self::Network { explanation } if explanation.text.contains("HTTP status server error") => {
                "the index, or a proxy before it, has a problem of its own: try again later, or use another index".into()
            }
            Self::Network { .. } => {
                "is there a network, and is the index's URL right? behind a proxy, set HTTPS_PROXY; with a CA of your \
                 own, set SSL_CERT_FILE"
                    .into()
            }
            Self::Offline { .. } => "run once with the network".into(),
            Self::Git { .. } => {
                "check the URL and the revision; a private repository needs credentials in ~/.netrc or as ${VARIABLE} \
                 in the URL, and git+ssh a running ssh-agent"
                    .into()
            }
            Self::Build { debian: Some(package), .. } => format!(
                "the build has what the base has: add {}; or ask for a version that has wheels for this Python",
                advice::own_key(&format!("system_packages: [{package}]"), format)
            ),
            Self::Build { missing: Some(program), .. } => format!(
                "the build needs `{program}`, which the base and build-essential do not have: ask for a version that \
                 has wheels, or build the wheel elsewhere and give its folder with --find-links"
            ),
            Self::Build { network: true, .. } => {
                "a package is built without network, from what its pyproject.toml says it needs: ask for a version that \
                 has wheels, or, if you trust the package, set `build_network = true` under [pypi] in the settings; \
                 credentials stay out of its sight"
                    .into()
            }
            Self::Build { .. } => format!(
                "ask for a version that has wheels for this Python, add what the build lacks ({}), or build the wheel \
                 elsewhere and give its folder with --find-links",
                advice::own_key("system_packages: […]", format)
            ),
            Self::BuiltWheel { .. } => {
                "a package that is not pure Python must be built on a machine of the environment's platform".into()
            }
            Self::Hash { expected, actual, .. } => {
                let list = |hashes: &[Digest]| hashes.iter().map(Digest::to_string).collect::<Vec<_>>().join(", ");
                format!("the definition admits {}; the index has {}", list(expected), list(actual))
            }
            Self::Unhashed { .. } => {
                "as with pip, once one requirement has a hash, every package needs one: list them all, e.g. as \
                 `pip-compile --generate-hashes` writes them, or leave the hashes out: a lock always has them"
                    .into()
            }
            Self::Fetch(error) => return error.hint(),
            Self::Store(error) => return error.hint(),
            Self::Io(error) if provenv_store::is_no_space(error) => {
                "free some space on that file system, or run `provenv store gc`".into()
            }
            _ => return None,
        })
    }

    /// A URL that cannot be read, shown without its credentials.
    pub(super) fn url(url: &str, source: url::ParseError) -> Self {
        Self::Url { url: provenv_definition::mask_secrets(url), source }
    }

    /// A variable that `url` names and nobody has set.
    pub(super) fn variable(url: &SafeUrl, variable: &str) -> Self {
        Self::Variable { url: url.to_string(), variable: variable.to_owned() }
    }
}

fn conflict_hint(explanation: &Explanation) -> String {
    if explanation.hints.iter().any(|hint| hint.contains("subsequent index")) {
        "a package is taken from the first index that has it, the extra ones before the default, so that a stranger's \
         cannot stand in for it: drop the extra index or take the version it has"
            .into()
    } else {
        "loosen or drop one of the bounds that are named above".into()
    }
}

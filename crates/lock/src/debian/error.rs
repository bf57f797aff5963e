//! What can go wrong between an archive and a set of packages.

use super::openpgp::SignatureError;
use super::release::ReleaseError;
use super::solve::Unsolvable;
use super::universe::UniverseError;

/// The result of what this module does.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong between an archive and a set of packages.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The archive could not be read.
    #[error("failed to read {what}")]
    Fetch {
        /// E.g. `the release of bookworm-updates`.
        what: String,
        /// Why, with the URL.
        source: provenv_fetch::Error,
    },
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] provenv_store::Error),
    /// A file of this machine could not be read.
    #[error("failed to read {what}")]
    Io {
        /// Which.
        what: String,
        /// Why.
        source: std::io::Error,
    },
    /// No place to take Debian packages from.
    #[error("no Debian archive is known: {0}")]
    NoMirror(String),
    /// No keys to check the archive with.
    #[error("no keys to check the Debian archive with: {0}")]
    NoKeyring(String),
    /// No keys to check Ubuntu's archive with.
    #[error("no keys to check Ubuntu's archive with: there is no `{}`", .0.display())]
    NoUbuntuKeys(std::path::PathBuf),
    /// The archive's signature is not to be trusted.
    #[error("the signature of {url} is not good: {source}")]
    Signature {
        /// The signed file.
        url: String,
        /// Why.
        source: SignatureError,
    },
    /// The archive's signed statement is not one to go by.
    #[error("{url} cannot be used: {source}")]
    Release {
        /// The statement.
        url: String,
        /// Why.
        source: ReleaseError,
    },
    /// The mirror is not one of Debian.
    #[error("{url} is of `{origin}`, not of Debian")]
    NotDebian {
        /// Its release file.
        url: String,
        /// Who it says it is.
        origin: String,
    },
    /// The archive has no such suite.
    #[error("there is no suite `{suite}` at {mirror}")]
    UnknownSuite {
        /// Asked for.
        suite: String,
        /// Where.
        mirror: String,
    },
    /// The list of packages is not one.
    #[error("the list of packages of {suite} cannot be read: {reason}")]
    Index {
        /// Of which suite.
        suite: String,
        /// Why.
        reason: String,
    },
    /// There is no such package.
    #[error("there is no package `{name}` in {suite}")]
    NoPackage {
        /// Asked for.
        name: String,
        /// In which suite.
        suite: String,
        /// A name like it.
        nearest: Option<String>,
    },
    /// The name stands for several packages.
    #[error("`{name}` is no package of {suite} but a name for any of {}", .providers.join(", "))]
    Virtual {
        /// Asked for.
        name: String,
        /// In which suite.
        suite: String,
        /// Who provides it.
        providers: Vec<String>,
    },
    /// There is no such version.
    #[error("{suite} has no version {wanted} of `{name}`, only {}", .available.join(", "))]
    NoVersion {
        /// The package.
        name: String,
        /// Asked for.
        wanted: String,
        /// In which suite.
        suite: String,
        /// What there is.
        available: Vec<String>,
    },
    /// A dependency cannot be met.
    #[error("{} needs {wanted}, and {}", way(.chain), .reasons.join(", and "))]
    Unmet {
        /// From what was asked for to who needs it, each `name=version`; empty for what was asked for.
        chain: Vec<String>,
        /// The dependency.
        wanted: String,
        /// Why each alternative will not do.
        reasons: Vec<String>,
    },
    /// Two packages exclude each other.
    #[error("{} and {} cannot be together: {statement}", .left.join(" → "), .right.join(" → "))]
    Conflict {
        /// From what was asked for to the one.
        left: Vec<String>,
        /// From what was asked for to the other.
        right: Vec<String>,
        /// What one says of the other.
        statement: String,
    },
    /// No suite has the Python asked for.
    #[error("{} Python {wanted}: {}", nobody(.suite.as_deref()), pythons(.available))]
    NoPython {
        /// Asked for.
        wanted: String,
        /// The suite that was asked for, if any.
        suite: Option<String>,
        /// Which suite has which.
        available: Vec<(String, String)>,
    },
    /// The definition stands on something else.
    #[error("the base `{0}` is not made of Debian packages")]
    ForeignBase(String),
}

fn way(chain: &[String]) -> String {
    if chain.is_empty() { "the definition".to_owned() } else { chain.join(" → ") }
}

fn nobody(suite: Option<&str>) -> String {
    match suite {
        Some(suite) => format!("the suite {suite} does not have"),
        None => "no suite of Debian has".to_owned(),
    }
}

fn pythons(available: &[(String, String)]) -> String {
    let all: Vec<String> =
        available.iter().map(|(suite, version)| format!("{suite} has {version}")).collect();
    all.join(", ")
}

impl Error {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Fetch { source, .. } => return source.hint(),
            Self::Store(source) => return source.hint(),
            Self::NoMirror(_) | Self::NotDebian { .. } => {
                "set PROVENV_DEBIAN_MIRROR, or `mirror` under `[debian]` in the settings, to the URL of a Debian mirror"
            }
            Self::NoUbuntuKeys(_) => {
                "install the package ubuntu-keyring, or set PROVENV_UBUNTU_KEYRING or `keyring` under `[ubuntu]` in the \
                 settings to a file with the archive's keys"
            }
            Self::NoKeyring(_) | Self::Signature { source: SignatureError::UnknownKey(_), .. } => {
                "install the package debian-archive-keyring, or set PROVENV_DEBIAN_KEYRING to a file with the \
                 archive's keys"
            }
            Self::Signature {
                source: SignatureError::ExpiredKey(_) | SignatureError::RevokedKey(_), ..
            } => "bring the package debian-archive-keyring up to date, and check this machine's clock",
            Self::Signature { source: SignatureError::Untimely(_), .. } => "check this machine's clock",
            Self::Signature { .. } => {
                "somebody between the archive and this machine may have changed it: try another mirror"
            }
            Self::Release { source, .. } => match source {
                ReleaseError::Expired(_) => {
                    "the mirror no longer follows Debian, or somebody holds updates back: try another mirror, check \
                     this machine's clock, or set PROVENV_DEBIAN_IGNORE_VALID_UNTIL=1 for a suite that is archived"
                }
                ReleaseError::Future(_) => "check this machine's clock",
                ReleaseError::NoArchitecture { .. } => "choose a platform that the suite was built for",
                _ => "try another mirror",
            },
            Self::UnknownSuite { .. } => {
                "use the code name of a suite that the mirror carries, such as bookworm or trixie"
            }
            Self::Index { .. } => "try another mirror",
            Self::NoPackage { nearest: Some(nearest), .. } => {
                return Some(format!("did you mean `{nearest}`?"));
            }
            Self::NoPackage { nearest: None, .. } => {
                "only Debian's own component `main` is searched; Python packages belong under `pip`"
            }
            Self::Virtual { .. } => "name the one you want",
            Self::NoVersion { .. } => {
                "an archive keeps the latest versions only: leave the version out, and the lock keeps the one that is \
                 found"
            }
            Self::Unmet { chain, .. } => {
                let asked = chain.first().and_then(|id| id.split_once('='))?.0;
                return Some(format!("leave `{asked}` out, or ask for another version of it"));
            }
            Self::Conflict { .. } => "leave one of them out",
            Self::NoPython { .. } => "ask for one of these, or leave `python` out",
            Self::Io { .. } | Self::ForeignBase(_) => return None,
        };
        Some(hint.to_owned())
    }

    /// The system package of the definition that this is about.
    pub fn system_package(&self) -> Option<&str> {
        let id = match self {
            Self::NoPackage { name, .. } | Self::Virtual { name, .. } | Self::NoVersion { name, .. } => name,
            Self::Unmet { chain, .. } => chain.first()?,
            Self::Conflict { right, .. } => right.first()?,
            _ => return None,
        };
        Some(id.split('=').next().unwrap_or(id))
    }

    pub(super) fn from_universe(error: UniverseError, suite: &str) -> Self {
        match error {
            UniverseError::Io(source) => {
                Self::Io { what: format!("the kept list of packages of {suite}"), source }
            }
            UniverseError::Paragraph(..) => {
                Self::Index { suite: suite.to_owned(), reason: error.to_string() }
            }
        }
    }

    pub(super) fn from_unsolvable(error: Unsolvable, suite: &str) -> Self {
        match error {
            Unsolvable::Unmet { chain, wanted, reasons } => Self::Unmet { chain, wanted, reasons },
            Unsolvable::Conflict { left, right, statement } => Self::Conflict { left, right, statement },
            Unsolvable::Universe(error) => Self::from_universe(error, suite),
        }
    }
}

//! Why an image could not be made.

use crate::{segment, unpack};

/// Why an image could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An artifact could not be had.
    #[error(transparent)]
    Fetch(#[from] provenv_fetch::Error),
    /// A lock with packages that are not installed yet.
    #[error("conda packages cannot be assembled yet: the lock has {0}")]
    Conda(usize),
    /// An artifact could not be made into a segment.
    #[error(transparent)]
    Segment(#[from] segment::Error),
    /// The base could not be unpacked to run its Python.
    #[error(transparent)]
    Unpack(#[from] unpack::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] provenv_store::Error),
    /// A wheel that was built here is gone.
    #[error("the wheel {wheel}, which was built for this lock, is not in the store any more")]
    BuiltGone {
        /// Its file name.
        wheel: String,
    },
    /// A package under another one's name.
    #[error("the lock names {named}, and {file} is {found}")]
    OtherPackage {
        /// Name, version and architecture in the lock.
        named: String,
        /// The file.
        file: String,
        /// What it says of itself.
        found: String,
    },
    /// Python packages without a Python.
    #[error("the lock has Python packages and no Debian package {0}, which has the interpreter")]
    NoInterpreter(String),
    /// One package has a file where another has a folder.
    #[error("{file} has a file or link at /{path}, where {folder} has the folder of /{below}")]
    FileAndFolder {
        /// The path both have.
        path: String,
        /// The package with the file.
        file: String,
        /// The package with the folder.
        folder: String,
        /// What the latter has in it.
        below: String,
    },
    /// A wheel wants to be the interpreter.
    #[error("{what} has a file of its own at /{path}, which is the virtual environment's")]
    Interpreter {
        /// The package.
        what: String,
        /// The path.
        path: String,
    },
    /// A worker thread ended before its time.
    #[error("a worker of the assembly ended before its time")]
    Worker(#[from] tokio::task::JoinError),
}

impl Error {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Fetch(error) => error.hint(),
            Self::Segment(error) => error.hint(),
            Self::Conda(_) => Some(
                "`provenv env export --locked --format explicit` gives them to conda or micromamba"
                    .to_owned(),
            ),
            Self::Unpack(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::BuiltGone { .. } => Some(
                "`provenv upgrade` builds it again, under a new receipt if it comes out different".to_owned(),
            ),
            Self::OtherPackage { .. } | Self::NoInterpreter(_) => {
                Some("lock the environment again".to_owned())
            }
            Self::FileAndFolder { file, folder, .. } => {
                Some(format!("{file} and {folder} cannot be in one environment: leave one of them out"))
            }
            Self::Interpreter { what, .. } => {
                Some(format!("do not use {what}: it would run in the place of Python"))
            }
            Self::Worker(_) => None,
        }
    }
}

//! Why an image could not be made.

use super::LinkScript;
use super::plan::TooFewLayers;
use crate::form::FormError;
use crate::{segment, unpack};

/// Why an image could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An artifact could not be had.
    #[error(transparent)]
    Fetch(#[from] provenv_fetch::Error),
    /// An artifact could not be made into a segment.
    #[error(transparent)]
    Segment(#[from] segment::Error),
    /// The base could not be unpacked to run its Python.
    #[error(transparent)]
    Unpack(#[from] unpack::Error),
    /// The base from a registry cannot be used.
    #[error(transparent)]
    Base(#[from] crate::base_image::Error),
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
    /// A package wants to be the interpreter.
    #[error("{what} has a file of its own at /{path}, where the environment's Python is")]
    Interpreter {
        /// The package.
        what: String,
        /// The path.
        path: String,
    },
    /// A package that says of itself what only the installer may say.
    #[error("{what} has a file at /{path}, where it is noted which conda packages are installed")]
    CondaMeta {
        /// The package.
        what: String,
        /// The path.
        path: String,
    },
    /// Packages want scripts to be run.
    #[error("conda packages want scripts to be run when they are installed: {}", shown(.0))]
    Scripts(Vec<LinkScript>),
    /// A layer that was made here is gone.
    #[error("what the scripts of conda packages left for this lock is not in the store any more")]
    PostLinkGone,
    /// A layer that is not what the lock says.
    #[error("what the lock says of the layer that scripts of conda packages left is not true of it")]
    PostLinkOther,
    /// A layer with what no script may leave.
    #[error(
        "the layer that the lock names as what scripts of conda packages left has `{0}`, which none may leave"
    )]
    PostLinkPath(String),
    /// A Python that modules cannot be compiled with.
    #[error("the Python of {what} cannot be used: {problem}")]
    OtherPython {
        /// The package.
        what: String,
        /// Why.
        problem: String,
    },
    /// A Python without the global interpreter lock: its packages have a folder of their own, and its wheels other tags.
    #[error("{what} is a free-threaded Python, of which no image can be made yet")]
    FreeThreaded {
        /// The package, with its build.
        what: String,
    },
    /// A prefix could not be laid out elsewhere.
    #[error(transparent)]
    Prefix(#[from] crate::export::prefix::Error),
    /// There is no such form of an image.
    #[error(transparent)]
    Form(#[from] FormError),
    /// The image cannot have so few layers.
    #[error(transparent)]
    Layers(#[from] TooFewLayers),
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
            Self::Unpack(error) => error.hint(),
            Self::Base(error) => error.hint(),
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
            Self::CondaMeta { what, .. } => {
                Some(format!("do not use {what}: a package must not change what is known of others"))
            }
            Self::Scripts(scripts) if scripts.iter().any(|script| !script.is_post_link()) => Some(
                "what is to run before a package is there cannot be run here: `--post-link skip` leaves them all out"
                    .to_owned(),
            ),
            Self::Scripts(_) => Some(
                "`provenv lock FILE --post-link run` runs them once, in the sandbox, and keeps what they leave; \
                 `--post-link skip` leaves them out"
                    .to_owned(),
            ),
            Self::PostLinkGone | Self::PostLinkOther | Self::PostLinkPath(_) => Some("`provenv lock --post-link run` runs them again".to_owned()),
            Self::FreeThreaded { .. } => Some(
                "ask conda for `python-gil` too, and not for `python-freethreading`, or for a build such as \
                 `python=3.13.*=*_cp313`"
                    .to_owned(),
            ),
            Self::OtherPython { .. } => Some("ask for the CPython of conda-forge or of Anaconda".to_owned()),
            Self::Prefix(error) => error.hint(),
            Self::Form(error) => Some(error.hint()),
            Self::Layers(error) => Some(error.hint()),
            Self::Worker(_) => None,
        }
    }
}

fn shown(scripts: &[LinkScript]) -> String {
    let each = scripts.iter().map(|script| format!("{} ({})", script.what, script.path));
    each.collect::<Vec<_>>().join(", ")
}

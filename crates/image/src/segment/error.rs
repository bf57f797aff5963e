//! Why an artifact could not be made into a segment.

use std::io;

use crate::marshal::MarshalError;

/// Why an artifact could not be made into a segment.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The artifact itself is at fault.
    #[error("refused {artifact}: {problem}{}", of(.member.as_deref()))]
    Refused {
        /// File name of the artifact.
        artifact: String,
        /// Name of the member at fault, if it is one.
        member: Option<String>,
        /// What is wrong with it.
        problem: Problem,
    },
    /// It could not be read.
    #[error("cannot read {artifact}")]
    Read {
        /// File name of the artifact.
        artifact: String,
        /// Why.
        source: io::Error,
    },
    /// What is to be written to an image cannot be a path in it.
    #[error("refused the path {path:?}, which {problem}")]
    Path {
        /// The path.
        path: String,
        /// Why it is none.
        problem: &'static str,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] provenv_store::Error),
    /// A staged file could not be written.
    #[error("cannot write a segment to the store")]
    Write(#[source] io::Error),
    /// A segment in the store could not be read back.
    #[error("cannot read segment {blob} back from the store")]
    Back {
        /// Its blob.
        blob: provenv_definition::Digest,
        /// Why.
        source: io::Error,
    },
    /// The image's Python could not be run.
    #[error("cannot run {program} to compile Python modules")]
    Python {
        /// The interpreter, inside the image.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// The image's Python died on a module.
    #[error("{program} died while compiling {module}")]
    PythonDied {
        /// The interpreter, inside the image.
        program: String,
        /// What it was given.
        module: String,
    },
    /// The image's Python gave bytecode of a kind that is not known.
    #[error("cannot read the bytecode that {program} made of {module}")]
    Bytecode {
        /// The interpreter, inside the image.
        program: String,
        /// What it was given.
        module: String,
        /// Why.
        source: MarshalError,
    },
}

impl Error {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Refused { problem: Problem::Method(_), .. } => {
                Some("ask its publisher for an archive with stored or deflated members".to_owned())
            }
            Self::Refused { problem: Problem::NoRoom { .. }, .. } => Some("name a shorter path".to_owned()),
            Self::Refused { artifact, .. } => Some(format!(
                "{artifact} has the digest that the lock names, so it was published like this: \
                 take another version of the package, or tell its publisher"
            )),
            Self::Store(error) => error.hint(),
            Self::Write(source) if provenv_store::is_no_space(source) => {
                Some("free some space, e.g. with `provenv store gc`".to_owned())
            }
            Self::Python { .. } | Self::PythonDied { .. } => {
                Some("see whether the kernel log names a missing permission or a lack of memory".to_owned())
            }
            _ => None,
        }
    }
}

fn of(member: Option<&str>) -> String {
    const SHOWN: usize = 255;
    let Some(name) = member else { return String::new() };
    let more = if name.chars().nth(SHOWN).is_some() { "…" } else { "" };
    let shown: String = name.chars().take(SHOWN).collect();
    format!(" (member `{}{more}`)", shown.escape_debug())
}

/// What is wrong with an archive or one of its members.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says it")]
pub enum Problem {
    #[error("the name {0}")]
    Name(&'static str),
    #[error("the name is not UTF-8")]
    NotUtf8,
    #[error("occurs twice")]
    Duplicate,
    #[error("`{}` is both a file and a folder", .0.escape_debug())]
    FileAndFolder(String),
    #[error("would be written through the symbolic link `{}`", .0.escape_debug())]
    ThroughSymlink(String),
    #[error("links to `{}`, which is no file of this archive before it", .0.escape_debug())]
    DanglingHardlink(String),
    #[error("differs only in case from `{}`, and would take its place on a file system that ignores case", .0.escape_debug())]
    Case(String),
    #[error("has more than {0} members, which no package has")]
    TooMany(usize),
    #[error("has more than {0} folders, which no package has")]
    Folders(usize),
    #[error("has names of more than {} MiB together, which no package has", .0 >> 20)]
    Names(usize),
    #[error("needs more than {} MiB of memory to be unpacked", .0 >> 20)]
    Memory(u64),
    #[error("is a {0}")]
    Device(&'static str),
    #[error("is encrypted")]
    Encrypted,
    #[error("is compressed by method {0}, which is not supported")]
    Method(u16),
    #[error("overlaps another member")]
    Overlap,
    #[error("the archive's two accounts of it differ in the {0}")]
    Disagree(&'static str),
    #[error("the checksum is wrong")]
    Crc,
    #[error("says it has {declared} bytes and has {actual}")]
    SizeLie { declared: u64, actual: u64 },
    #[error("the compressed bytes are damaged")]
    Damaged,
    #[error("ends too early")]
    Truncated,
    #[error("unpacks to more than {0} bytes, far out of proportion to its size")]
    Bomb(u64),
    #[error("not what RECORD says: {0}")]
    Record(&'static str),
    #[error("has room for a prefix of {room} bytes, and this one has {prefix}")]
    NoRoom { room: usize, prefix: usize },
    #[error("is made for any Python, and the environment has none")]
    AnyPython,
    #[error("{0}")]
    Malformed(String),
}

/// A problem and the member that has it: an [`Error::Refused`] that lacks the artifact's name, or a failure to read.
#[derive(Debug)]
pub(crate) enum Fault {
    Refused(Option<String>, Problem),
    Read(io::Error),
    Other(Error),
}

impl Fault {
    pub(crate) fn malformed(text: impl Into<String>) -> Self {
        Self::Refused(None, Problem::Malformed(text.into()))
    }

    pub(crate) fn member(name: impl Into<String>, problem: Problem) -> Self {
        Self::Refused(Some(name.into()), problem)
    }

    /// The error, now that the artifact has a name.
    pub(crate) fn of(self, artifact: &str) -> Error {
        match self {
            Self::Refused(member, problem) => {
                Error::Refused { artifact: artifact.to_owned(), member, problem }
            }
            Self::Read(source) => Error::Read { artifact: artifact.to_owned(), source },
            Self::Other(error) => error,
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl From<provenv_store::Error> for Fault {
    fn from(error: provenv_store::Error) -> Self {
        Self::Other(Error::Store(error))
    }
}

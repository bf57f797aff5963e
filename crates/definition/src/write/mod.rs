//! From the model back to files that people can read, and that read back as the same model.
//!
//! A writer gives its files and the list of what they cannot carry. Where nothing of that list counts, the files read
//! back as a definition of the same digest; tests hold every format to it.

mod azure_v1;
mod azure_v2;
mod conda;
mod dockerfile;
mod lock;
mod native;
mod parts;
mod requirements;

use std::fmt;

use serde::Serialize;

use crate::{Environment, Platform};

pub use lock::write_lock;
pub use native::write_native;
pub use parts::NotCarried;
pub use requirements::{RequirementsFiles, write_requirements};

/// One list of the formats: its names, what each is.
macro_rules! formats {
    ($($format:ident $name:literal $summary:literal;)*) => {
        /// A format that an environment can be written in.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum WriteFormat {
            $(#[doc = $summary] $format,)*
        }

        impl WriteFormat {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$format),*];

            /// As the command line spells it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$format => $name,)*
                }
            }

            /// What it is, in a few words.
            pub fn summary(self) -> &'static str {
                match self {
                    $(Self::$format => $summary,)*
                }
            }
        }
    };
}

formats! {
    Conda "conda" "Conda's environment.yml";
    Requirements "requirements" "requirements.txt";
    Pylock "pylock" "pylock.toml (PEP 751), of a lock";
    PixiLock "pixi-lock" "pixi.lock, of a lock";
    CondaLock "conda-lock" "The YAML of conda-lock, of a lock";
    Explicit "explicit" "URLs of conda packages, of a lock";
    Dockerfile "dockerfile" "A Dockerfile";
    AzuremlV1 "azureml-v1" "The folder of azureml-core's Environment.save_to_directory";
    AzuremlV2 "azureml-v2" "The environment YAML of Azure ML v2";
    Native "native" "Provenv's own YAML";
}

impl WriteFormat {
    /// Whether its files name artifacts, so that only a lock can be written so.
    pub fn is_lock(self) -> bool {
        matches!(self, Self::Pylock | Self::PixiLock | Self::CondaLock | Self::Explicit)
    }
}

impl fmt::Display for WriteFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What writing came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Written {
    /// The files, the one that names the others first.
    pub files: Vec<WrittenFile>,
    /// What they do not say, or say otherwise.
    pub not_carried: Vec<NotCarried>,
}

/// A file to be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WrittenFile {
    /// Its usual name, a path below the folder of all of them where it has to lie in one.
    pub name: String,
    /// What is in it.
    pub text: String,
}

impl WrittenFile {
    /// A file called `name`.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into() }
    }
}

/// Why an environment cannot be written in a format.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The format names files, and a definition does not.
    #[error("`{0}` names the very files to install, and a definition names none")]
    NeedsLock(WriteFormat),
    /// Conda's locks begin with conda's Python.
    #[error("`{0}` is made of conda packages, and the lock has none")]
    NoCondaPackages(WriteFormat),
    /// Not one of the formats of locks.
    #[error("`{0}` is not a format of locks")]
    NoLockFormat(WriteFormat),
    /// The Dockerfile lies elsewhere.
    #[error("the Dockerfile lies in the build context `{context}`")]
    NoDockerfile {
        /// Where that is.
        context: String,
    },
    /// A file of the build context cannot be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl WriteError {
    /// What to do next.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NeedsLock(_) => Some("write the lock: add --locked"),
            Self::NoCondaPackages(_) => Some("write it as pylock or requirements"),
            Self::NoDockerfile { .. } => Some("get the context and give its folder"),
            Self::NoLockFormat(_) | Self::Io(_) => None,
        }
    }
}

/// The files of `environment` in `format`.
pub fn write(environment: &Environment, format: WriteFormat) -> Result<Written, WriteError> {
    Ok(match format {
        WriteFormat::Conda => conda::write(environment),
        WriteFormat::Requirements => requirements::write(environment),
        WriteFormat::Dockerfile => dockerfile::write(environment)?,
        WriteFormat::AzuremlV1 => azure_v1::write(environment),
        WriteFormat::AzuremlV2 => azure_v2::write(environment),
        WriteFormat::Native => Written {
            files: vec![WrittenFile::new("environment.yaml", write_native(environment))],
            not_carried: Vec::new(),
        },
        WriteFormat::Pylock | WriteFormat::PixiLock | WriteFormat::CondaLock | WriteFormat::Explicit => {
            return Err(WriteError::NeedsLock(format));
        }
    })
}

/// Conda's name of a platform.
fn subdir(platform: Platform) -> &'static str {
    match platform {
        Platform::LinuxAmd64 => "linux-64",
        Platform::LinuxArm64 => "linux-aarch64",
    }
}

/// What the SDK of Azure ML takes where no image is named: it has conda, and packages are installed on it.
const AZURE_IMAGE: &str = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:20251130.v1";

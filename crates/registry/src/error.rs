//! What goes wrong between here and a registry.

use std::path::PathBuf;

use oci_client::errors::{OciDistributionError, OciErrorCode};
use provenv_definition::{Digest, Platform};

/// What goes wrong when an image is pushed or pulled. Neither URLs, which may hold upload tokens, nor credentials are ever part of
/// a message.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A blob of the image cannot be read.
    #[error("failed to read or keep the image in the store")]
    Store(#[from] provenv_store::Error),
    /// The registry wants other credentials, or any.
    #[error("`{registry}` refused access to `{repository}`{}", reason.as_deref().map(|text| format!(": {text}")).unwrap_or_default())]
    Denied {
        /// The registry's host.
        registry: String,
        /// The repository in it.
        repository: String,
        /// What the registry says.
        reason: Option<String>,
        /// Whether credentials were sent.
        authenticated: bool,
    },
    /// The registry cannot be reached, or the connection broke, after several tries.
    #[error("failed to {act} `{registry}`: {reason}")]
    Connection {
        /// What was being done, e.g. `push a layer to`.
        act: &'static str,
        /// The registry's host.
        registry: String,
        /// Why.
        reason: String,
        /// Whether it was spoken to by plain http already.
        plain: bool,
    },
    /// The registry answered with an error.
    #[error("failed to {act} `{registry}`: it says: {reason}")]
    Registry {
        /// What was being done.
        act: &'static str,
        /// The registry's host.
        registry: String,
        /// What it said.
        reason: String,
    },
    /// After the push, the tag names something else.
    #[error("`{reference}` names {actual} after {expected} was pushed")]
    Moved {
        /// Where it was pushed to.
        reference: String,
        /// What was pushed.
        expected: Digest,
        /// What the registry says is there.
        actual: String,
    },
    /// The program that keeps the user's passwords failed.
    #[error("failed to ask `{helper}` for the credentials of `{registry}`: {reason}")]
    Helper {
        /// Its name.
        helper: String,
        /// The registry's host.
        registry: String,
        /// Why.
        reason: String,
    },
    /// The registry does not know a blob that it was sent.
    #[error("{registry} does not know all layers of the image: {reason}")]
    Incomplete {
        /// The registry's host.
        registry: String,
        /// Its own words.
        reason: String,
    },
    /// The registry has no such image.
    #[error("there is no {what} of `{reference}` in its registry")]
    Missing {
        /// What was looked for.
        what: String,
        /// The image.
        reference: String,
    },
    /// The image is for other platforms.
    #[error("`{reference}` has no image for {platform}: it is for {}", has.join(", "))]
    NoPlatform {
        /// The image.
        reference: String,
        /// What it was to be for.
        platform: Platform,
        /// What it is for.
        has: Vec<String>,
    },
    /// What the registry gives is not what its name or the manifest says.
    #[error("what the registry gives as {what} of `{reference}` is refused: {reason}")]
    Untrue {
        /// Which part.
        what: String,
        /// The image.
        reference: String,
        /// What is wrong.
        reason: String,
    },
    /// An image that no base can be made of.
    #[error("`{reference}` cannot be a base")]
    Manifest {
        /// The image.
        reference: String,
        /// Why.
        #[source]
        source: provenv_image::base_image::ManifestError,
    },
    /// The network is not to be used.
    #[error("`{reference}` is not in the store, and the network is not to be used")]
    Offline {
        /// The image.
        reference: String,
    },
    /// A reference or a mirror that cannot be read.
    #[error(transparent)]
    Reference(#[from] crate::ReferenceError),
    /// The certificates that are to be trusted cannot be read.
    #[error("failed to read the certificates in `{}`", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file with credentials cannot be read.
    #[error("failed to read credentials from `{path}`: {reason}")]
    AuthFile {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
}

impl Error {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Store(error) => return error.hint(),
            Self::Denied { registry, authenticated: false, .. } => {
                format!("log in first, with `podman login {registry}` or `docker login {registry}`")
            }
            Self::Denied { authenticated: true, .. } => {
                "check that this user may do that there; a new login may be needed".to_owned()
            }
            Self::Connection { registry, plain: true, .. } => {
                format!("check that {registry} is right and can be reached; it was spoken to by plain http")
            }
            Self::Connection { registry, .. } => {
                format!(
                    "check that {registry} is right and can be reached; a registry without TLS needs --insecure to push, \
                     and `registry.insecure` in the settings to be pulled from"
                )
            }
            Self::Moved { .. } => {
                "somebody else pushed to the same tag: push again, or use another tag".to_owned()
            }
            Self::Incomplete { .. } => {
                "it lost a layer, or others collect or push there now: push again".to_owned()
            }
            Self::AuthFile { .. } | Self::Helper { .. } => "log in again to write it anew".to_owned(),
            Self::Missing { .. } => {
                "check the image's name and tag; a tag may have been taken away, and a private image may need a login"
                    .to_owned()
            }
            Self::NoPlatform { .. } => {
                "name another image, or in `platforms` what this one is for".to_owned()
            }
            Self::Untrue { .. } => {
                "try again; if it stays, the registry or what stands before it is broken or lies".to_owned()
            }
            Self::Manifest { source, .. } => return source.hint(),
            Self::Offline { .. } => "leave --offline out once, to fetch it".to_owned(),
            Self::Reference(error) => return error.hint(),
            Self::Certificates { .. } => "correct the variable or setting that names the file".to_owned(),
            Self::Registry { .. } => return None,
        })
    }
}

/// What a failed request means.
pub(crate) enum Failure {
    /// The registry wants other credentials.
    Denied(Option<String>),
    /// There is no such thing.
    NotFound,
    /// Worth another try.
    Passing(String),
    /// A blob that the manifest names is not there, or not yet.
    BlobUnknown(String),
    /// The answer is no.
    Final(String),
}

impl From<OciDistributionError> for Failure {
    fn from(error: OciDistributionError) -> Self {
        match error {
            OciDistributionError::UnauthorizedError { .. } => Self::Denied(None),
            OciDistributionError::AuthenticationFailure(reason) => Self::Denied(Some(said(&reason))),
            OciDistributionError::ImageManifestNotFoundError(_) => Self::NotFound,
            OciDistributionError::RegistryError { envelope, .. } => {
                let is =
                    |codes: &[OciErrorCode]| envelope.errors.iter().any(|error| codes.contains(&error.code));
                let messages: Vec<&str> =
                    envelope.errors.iter().map(|error| error.message.as_str()).collect();
                let reason = said(&messages.join(", "));
                if is(&[OciErrorCode::Unauthorized, OciErrorCode::Denied]) {
                    Self::Denied(Some(reason).filter(|reason| !reason.is_empty()))
                } else if is(&[
                    OciErrorCode::ManifestUnknown,
                    OciErrorCode::NameUnknown,
                    OciErrorCode::NotFound,
                ]) {
                    Self::NotFound
                } else if is(&[OciErrorCode::Toomanyrequests]) {
                    Self::Passing(reason)
                } else if is(&[OciErrorCode::ManifestBlobUnknown, OciErrorCode::BlobUnknown]) {
                    Self::BlobUnknown(reason)
                } else {
                    Self::Final(reason)
                }
            }
            OciDistributionError::ServerError { code, message, .. } => {
                let reason = format!("status {code} {}", said(&message)).trim_end().to_owned();
                match code {
                    401 | 403 => Self::Denied(None),
                    // "BLOB_UNKNOWN" is a code too.
                    400 | 404 if message.contains("BLOB_UNKNOWN") => Self::BlobUnknown(reason),
                    404 => Self::NotFound,
                    408 | 429 | 500.. => Self::Passing(reason),
                    _ => Self::Final(reason),
                }
            }
            OciDistributionError::RequestError(error) => {
                let status = error.status().map(|status| status.as_u16());
                let reason = chain(&error.without_url());
                match status {
                    Some(401 | 403) => Self::Denied(None),
                    Some(404) => Self::NotFound,
                    Some(code) if code < 500 && code != 429 && code != 408 => Self::Final(reason),
                    _ => Self::Passing(reason),
                }
            }
            OciDistributionError::IoError(error) => Self::Passing(error.to_string()),
            OciDistributionError::RegistryNoLocationError => {
                Self::Final("it does not say where to upload to".to_owned())
            }
            OciDistributionError::SpecViolationError(reason) => Self::Final(said(&reason)),
            _ => Self::Final("its answer is not one of the OCI distribution protocol".to_owned()),
        }
    }
}

/// An error and what caused it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// What a server says, fit to be shown: one line, not too long.
pub(crate) fn said(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().filter(|c| !c.is_control()).take(300).collect()
}

//! What goes wrong between here and a registry.

use std::path::PathBuf;
use std::time::Duration;

use provenv_definition::{Digest, Platform};
use reqwest::StatusCode;
use serde::Deserialize;

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
    /// Credentials are kept for the registry, and cannot be had.
    #[error("there are no credentials for `{registry}`: {why}")]
    Unusable {
        /// The registry's host.
        registry: String,
        /// Why.
        why: String,
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
    /// The registry, or what stands before it, takes nothing that is so large.
    #[error("failed to {act} `{registry}`: it is too large for it: {reason}")]
    TooLarge {
        /// What was being done.
        act: &'static str,
        /// The registry's host.
        registry: String,
        /// Its own words.
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
            Self::TooLarge { .. } => {
                "raise the limit of the registry or of the proxy before it, such as nginx's `client_max_body_size`"
                    .to_owned()
            }
            Self::Registry { reason, .. } if reason.starts_with("there is no repository") => {
                "make the repository first where the registry does not do so by itself; or check the name"
                    .to_owned()
            }
            Self::Moved { .. } => {
                "somebody else pushed to the same tag: push again, or use another tag".to_owned()
            }
            Self::Incomplete { .. } => {
                "it lost a layer, or others collect or push there now: push again".to_owned()
            }
            Self::Unusable { .. } => "have whoever keeps it set it anew".to_owned(),
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
#[derive(Debug)]
pub(crate) enum Failure {
    /// The registry wants other credentials.
    Denied(Option<String>),
    /// There is no such thing.
    NotFound,
    /// Worth another try.
    Passing(String),
    /// The same, after as long as the registry says.
    Busy(String, Duration),
    /// A blob that the manifest names is not there, or not yet.
    BlobUnknown(String),
    /// It takes nothing that is so large.
    TooLarge(String),
    /// The answer is no.
    Final(String),
}

/// The body of an answer that is an error (OCI distribution specification, "Error Codes").
#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    errors: Vec<RefusalError>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RefusalError {
    code: String,
    message: Option<String>,
}

impl Failure {
    /// What an answer with this status and text means, which asks for `wait`.
    pub(crate) fn of(status: StatusCode, text: &[u8], wait: Option<Duration>) -> Self {
        let refusal: Refusal = serde_json::from_slice(text).unwrap_or_default();
        let is = |codes: &[&str]| refusal.errors.iter().any(|error| codes.contains(&error.code.as_str()));
        let messages: Vec<&str> =
            refusal.errors.iter().filter_map(|error| error.message.as_deref()).collect();
        let words = said(&messages.join(", "));
        let reason = if words.is_empty() { format!("status {status}") } else { words.clone() };
        match status.as_u16() {
            401 | 403 => Self::Denied(Some(words).filter(|words| !words.is_empty())),
            400 | 404 if is(&["BLOB_UNKNOWN", "MANIFEST_BLOB_UNKNOWN"]) => Self::BlobUnknown(reason),
            404 => Self::NotFound,
            413 => Self::TooLarge(reason),
            408 | 425 | 429 | 500.. => Self::again(reason, wait),
            _ if is(&["TOOMANYREQUESTS"]) => Self::again(reason, wait),
            _ => Self::Final(reason),
        }
    }

    fn again(reason: String, wait: Option<Duration>) -> Self {
        match wait {
            Some(wait) => Self::Busy(reason, wait),
            None => Self::Passing(reason),
        }
    }

    /// Whether it may go well another time.
    pub(crate) fn passes(&self) -> bool {
        matches!(self, Self::Passing(_) | Self::Busy(..))
    }

    /// Why, for logs.
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Denied(reason) => reason.as_deref().unwrap_or("denied"),
            Self::NotFound => "not found",
            Self::Passing(reason)
            | Self::Busy(reason, _)
            | Self::BlobUnknown(reason)
            | Self::TooLarge(reason)
            | Self::Final(reason) => reason,
        }
    }

    /// Waits before another try: as long as the registry asks for, or longer each time.
    pub(crate) async fn pause(&self, attempt: u32) {
        let wait = match self {
            Self::Busy(_, wait) => *wait,
            // Many clients do not come back at once.
            _ => Duration::from_millis(100) * 2u32.pow(attempt.min(6)),
        };
        tokio::time::sleep(wait.mul_f64(1.0 + fastrand::f64() / 2.0)).await;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, text: &str, wait: Option<u64>) -> Failure {
        Failure::of(StatusCode::from_u16(status).unwrap(), text.as_bytes(), wait.map(Duration::from_secs))
    }

    #[test]
    fn an_answer_means_what_its_status_and_code_say() {
        let error = |code: &str| format!(r#"{{"errors": [{{"code": "{code}", "message": "so it is"}}]}}"#);
        assert!(matches!(of(403, &error("DENIED"), None), Failure::Denied(Some(why)) if why == "so it is"));
        assert!(matches!(of(401, "<html>", None), Failure::Denied(None)));
        assert!(matches!(of(404, &error("MANIFEST_BLOB_UNKNOWN"), None), Failure::BlobUnknown(_)));
        assert!(matches!(of(400, &error("BLOB_UNKNOWN"), None), Failure::BlobUnknown(_)));
        assert!(matches!(of(404, &error("NAME_UNKNOWN"), None), Failure::NotFound));
        assert!(matches!(of(413, "", None), Failure::TooLarge(_)));
        assert!(matches!(of(429, "", Some(3)), Failure::Busy(_, wait) if wait == Duration::from_secs(3)));
        assert!(matches!(of(400, &error("TOOMANYREQUESTS"), None), Failure::Passing(_)));
        for status in [408, 425, 500, 502, 503, 504] {
            assert!(of(status, "", None).passes(), "{status}");
        }
        assert!(
            matches!(of(400, &error("MANIFEST_INVALID"), None), Failure::Final(why) if why == "so it is")
        );
        assert!(matches!(of(405, "not json", None), Failure::Final(why) if why.contains("405")));
    }
}

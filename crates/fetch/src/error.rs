//! What goes wrong when fetching.

use std::error::Error as _;
use std::io;
use std::path::PathBuf;

use provenv_definition::{Digest, SafeUrl};

/// The result of fetching.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What goes wrong when fetching. No message holds credentials or a query.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server wants credentials, or others than it got.
    #[error("`{url}` answered {status}: {}", if *.with_credentials { "the credentials were refused" } else { "it wants credentials" })]
    Unauthorized {
        /// What was asked for.
        url: Box<SafeUrl>,
        /// 401, 403 or 407.
        status: u16,
        /// Whether any were sent.
        with_credentials: bool,
    },
    /// There is no such thing.
    #[error("`{url}` does not exist ({status})")]
    NotFound {
        /// What was asked for.
        url: Box<SafeUrl>,
        /// 404 or 410.
        status: u16,
    },
    /// Any other status that is no success.
    #[error("`{url}` answered {status}")]
    Status {
        /// What was asked for.
        url: Box<SafeUrl>,
        /// The HTTP status.
        status: u16,
    },
    /// The host's name could not be resolved.
    #[error("failed to find the host of `{url}`")]
    Dns {
        /// What was asked for.
        url: Box<SafeUrl>,
        /// Why, without the URL.
        source: reqwest::Error,
    },
    /// No connection was made.
    #[error("failed to connect to the host of `{url}`")]
    Connect {
        /// What was asked for.
        url: Box<SafeUrl>,
        /// Why, without the URL.
        source: reqwest::Error,
    },
    /// The server's certificate is not one that this machine trusts.
    #[error("failed to trust the host of `{url}`")]
    Certificate {
        /// What was asked for.
        url: Box<SafeUrl>,
        /// Why, without the URL.
        source: reqwest::Error,
    },
    /// Nothing came for too long.
    #[error("`{url}` sent nothing for {seconds} s")]
    Stalled {
        /// What was asked for.
        url: Box<SafeUrl>,
        /// The limit on silence.
        seconds: u64,
    },
    /// The connection broke, or what came was no HTTP.
    #[error("lost the connection to `{url}` after {received} bytes")]
    Interrupted {
        /// What was asked for.
        url: Box<SafeUrl>,
        /// Bytes that had come.
        received: u64,
        /// Why, without the URL.
        source: reqwest::Error,
    },
    /// The body ended before its time.
    #[error("`{url}` ended after {received} of {expected} bytes")]
    Incomplete {
        /// What was asked for.
        url: Box<SafeUrl>,
        /// Bytes that had come.
        received: u64,
        /// Bytes that should have come.
        expected: u64,
    },
    /// The server announces another size than the one known.
    #[error("`{url}` has {actual} bytes, expected {expected}{}", sent_by(.from.as_deref()))]
    Size {
        /// What was asked for.
        url: Box<SafeUrl>,
        /// The size known.
        expected: u64,
        /// The size announced.
        actual: u64,
        /// Where the bytes came from, after redirects.
        from: Option<Box<SafeUrl>>,
    },
    /// The server sends more than it may; the rest was not read.
    #[error("`{url}` sends more than {limit} bytes{}", sent_by(.from.as_deref()))]
    TooLong {
        /// What was asked for.
        url: Box<SafeUrl>,
        /// The size known, or the most that is accepted.
        limit: u64,
        /// Where the bytes came from, after redirects.
        from: Option<Box<SafeUrl>>,
    },
    /// The bytes are not the ones known.
    #[error("`{url}` is not what was expected: its digest is {actual}, expected {expected}{}", sent_by(.from.as_deref()))]
    Digest {
        /// What was asked for.
        url: Box<SafeUrl>,
        /// The digest known.
        expected: Digest,
        /// The digest of what came.
        actual: Digest,
        /// Where the bytes came from, after redirects.
        from: Option<Box<SafeUrl>>,
    },
    /// A redirect that is not followed.
    #[error("`{url}` redirects {why}")]
    Redirect {
        /// What redirects.
        url: Box<SafeUrl>,
        /// What is wrong with it, e.g. "too often".
        why: &'static str,
    },
    /// A transient failure came again and again.
    #[error("gave up after {attempts} attempts")]
    GaveUp {
        /// How often it was tried.
        attempts: u32,
        /// The last failure.
        source: Box<Error>,
    },
    /// Only what is cached may be used, and it is not cached.
    #[error("`{0}` is not cached, and the network is not to be used")]
    Offline(Box<SafeUrl>),
    /// A URL names a variable that is not set.
    #[error("`{url}` needs the environment variable {variable}, which is not set")]
    Variable {
        /// The URL, its variables not expanded.
        url: Box<SafeUrl>,
        /// The name of the variable.
        variable: String,
    },
    /// Credentials are kept for a host, and cannot be had.
    #[error("there are no credentials for `{host}`: {why}")]
    Credentials {
        /// The host.
        host: String,
        /// Why.
        why: crate::Unusable,
    },
    /// What a registry says is not what registries say.
    #[error("failed to find `{url}` in its registry: {reason}")]
    Registry {
        /// What was asked for.
        url: Box<SafeUrl>,
        /// What is wrong.
        reason: String,
    },
    /// A URL that is neither `http:`, `https:`, `oci:` nor `file:`.
    #[error("`{0}` cannot be fetched: its scheme is not http, https, oci or file")]
    Scheme(Box<SafeUrl>),
    /// A `file:` URL whose file cannot be read.
    #[error("failed to read `{url}`")]
    File {
        /// The URL.
        url: Box<SafeUrl>,
        /// Why.
        source: io::Error,
    },
    /// A file that should hold certificates does not.
    #[error("failed to read the certificates in {}", .file.display())]
    Certificates {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The HTTP client cannot be set up.
    #[error("failed to set up the HTTP client")]
    Client(#[source] reqwest::Error),
    /// The bytes could not be kept.
    #[error(transparent)]
    Store(#[from] provenv_store::Error),
}

fn sent_by(url: Option<&SafeUrl>) -> String {
    url.map(|url| format!(" (sent by `{url}`)")).unwrap_or_default()
}

impl Error {
    /// Whether the same may go well another time.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::GaveUp { .. }
            | Self::Dns { .. }
            | Self::Connect { .. }
            | Self::Stalled { .. }
            | Self::Interrupted { .. }
            | Self::Incomplete { .. } => true,
            Self::Status { status, .. } => crate::retry::is_transient(*status),
            _ => false,
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unauthorized { status: 407, .. } => {
                "give the proxy's credentials in HTTPS_PROXY, e.g. http://user:password@proxy:3128".into()
            }
            Self::Unauthorized { url, with_credentials, .. } => {
                let which = if *with_credentials { "other credentials" } else { "credentials" };
                let host = url.as_url().host_str().unwrap_or_default();
                let name = crate::credentials::index_name(url.as_url());
                format!(
                    "give {which} in PROVENV_INDEX_{name}_USERNAME and PROVENV_INDEX_{name}_PASSWORD where the definition \
                     or the settings name the host, in ~/.netrc (machine {host}), as `${{VARIABLE}}` in the URL, in the file of pixi's that RATTLER_AUTH_FILE \
                     names, or in a keyring"
                )
            }
            Self::Status { status: 500.., .. } => {
                "the server, or a proxy before it, has a problem of its own: try again later, or use another index or \
                 mirror"
                    .into()
            }
            Self::Status { status: 429, .. } => "the server wants fewer requests: try again later".into(),
            Self::NotFound { .. } => "check the URL; the file may have been withdrawn from the index".into(),
            Self::Dns { .. } => {
                "is there a network, and is the name right? behind a proxy, set HTTPS_PROXY; what is cached can be \
                 used with --offline"
                    .into()
            }
            Self::Connect { .. } => {
                "is there a network? behind a proxy, set HTTPS_PROXY; what is cached can be used with --offline".into()
            }
            Self::Certificate { .. } => {
                "install the CA certificates of this system (package ca-certificates), or name a file with the CA of \
                 your network in SSL_CERT_FILE"
                    .into()
            }
            Self::Stalled { .. } | Self::Interrupted { .. } | Self::Incomplete { .. } => {
                "try again: what was fetched completely is kept".into()
            }
            Self::Digest { .. } | Self::Size { .. } | Self::TooLong { .. } => {
                "the server or a proxy on the way changed the file, or it is not the file that was locked; nothing \
                 of it was used"
                    .into()
            }
            Self::Certificates { .. } => "it is named in SSL_CERT_FILE, PIP_CERT, REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE or \
                                          pip.conf, and must hold certificates as PEM"
                .into(),
            Self::Offline(_) => "run once with the network".into(),
            Self::Variable { variable, .. } => format!("export {variable} before running provenv"),
            Self::Credentials { .. } => "have whoever keeps it set it anew".into(),
            Self::GaveUp { source, .. } => return source.hint(),
            Self::Store(error) => return error.hint(),
            _ => return None,
        })
    }

    /// Whether another server would not help: what is wrong is on this machine.
    pub(crate) fn is_local(&self) -> bool {
        matches!(
            self,
            Self::Variable { .. }
                | Self::Credentials { .. }
                | Self::Client(_)
                | Self::Certificates { .. }
                | Self::Store(_)
                | Self::Offline(_)
        )
    }

    /// Whether the disk is full.
    pub fn is_no_space(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_no_space())
    }

    /// What a failed exchange means. The URL is taken out of `error`: it may hold a query.
    pub(crate) fn of_exchange(
        url: &SafeUrl,
        received: u64,
        stall_seconds: u64,
        error: reqwest::Error,
    ) -> Self {
        let source = error.without_url();
        let url = Box::new(url.clone());
        let mut causes = Vec::new();
        let mut cause = source.source();
        while let Some(inner) = cause {
            causes.push(inner.to_string());
            cause = inner.source();
        }
        let mentions = |text: &str| causes.iter().any(|cause| cause.contains(text));
        if mentions("certificate") {
            Self::Certificate { url, source }
        } else if source.is_connect() && (mentions("dns error") || mentions("failed to lookup address")) {
            Self::Dns { url, source }
        } else if source.is_connect() {
            Self::Connect { url, source }
        } else if source.is_timeout() {
            Self::Stalled { url, seconds: stall_seconds }
        } else {
            Self::Interrupted { url, received, source }
        }
    }
}

//! What goes wrong when conda packages are chosen.

use provenv_definition::{CondaRequirements, CondaSpec, SafeUrl, mask_secrets};

use rattler_repodata_gateway::GatewayError;
use rattler_repodata_gateway::fetch::FetchRepoDataError;

use super::{Explanation, channels};

/// Why conda packages could not be chosen or taken over.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A URL that says nothing of where in a channel the archive lies.
    #[error("`{url}` is in no folder of a channel")]
    NoSubdir {
        /// The URL.
        url: String,
    },
    /// Other bytes than those that were locked, or that a spec names by its URL.
    #[error("`{url}` is not what was meant: its md5 is {actual}, expected {expected}")]
    Md5 {
        /// The URL.
        url: String,
        /// What the lock or the spec says.
        expected: String,
        /// What came.
        actual: String,
    },
    /// The archive or index could not be had.
    #[error(transparent)]
    Fetch(#[from] provenv_fetch::Error),
    /// It could not be read back.
    #[error("cannot read what was fetched from `{url}`")]
    Read {
        /// The URL.
        url: String,
        /// Why.
        source: std::io::Error,
    },
    /// Nothing says where a package is looked for.
    #[error("no channel says where `{spec}` is looked for")]
    NoChannels {
        /// The first such spec.
        spec: String,
    },
    /// A channel that this version cannot read.
    #[error("the channel `{channel}` cannot be read: its URL is neither http, https, file nor oci")]
    Scheme {
        /// The channel.
        channel: String,
    },
    /// There is no such channel.
    #[error("there is no channel `{channel}`: it has no folder `{subdir}`")]
    NoChannel {
        /// The channel.
        channel: String,
        /// The folder that every channel has.
        subdir: String,
    },
    /// An index names a part that is not there.
    #[error("the channel's index names a part that its server does not have")]
    Reindexed,
    /// An index that was read is none.
    #[error("failed to read {}: {reason}", of_channel(channel.as_deref()))]
    Broken {
        /// The channel, if it is known.
        channel: Option<String>,
        /// What the reader says.
        reason: String,
    },
    /// The network may not be used, and what is asked for was never read.
    #[error("the index of `{what}` is not in the store, and the network may not be used")]
    NotCached {
        /// A channel or a package.
        what: String,
    },
    /// A spec that the solver does not read.
    #[error("`{spec}` is no spec that the solver reads")]
    Spec {
        /// The spec.
        spec: String,
    },
    /// What describes the target is none of conda's.
    #[error("`{text}` is no virtual package")]
    VirtualPackage {
        /// What was given.
        text: String,
    },
    /// The target's C library is said to be newer than it is.
    #[error("`{declared}` is declared, and the base has glibc {base}")]
    Glibc {
        /// What was declared.
        declared: String,
        /// What the base has.
        base: String,
    },
    /// No channel has a package of that name.
    #[error("no channel has a package `{name}`")]
    NoPackage {
        /// The name.
        name: String,
        /// The channels, as the user calls them.
        channels: Vec<String>,
        /// What may have been meant.
        nearest: Option<String>,
    },
    /// What is asked for cannot be had together.
    #[error("the conda packages asked for cannot be had together:\n{explanation}")]
    Unsolvable {
        /// The solver's explanation.
        explanation: Explanation,
    },
    /// The solver cannot work with what the channels say.
    #[error("the solver gave up: {reason}")]
    Solver {
        /// What it says.
        reason: String,
    },
    /// An archive that is named by its URL and is no package.
    #[error("`{url}` is not the package that it should be: {reason}")]
    Archive {
        /// The URL.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// An index that names an archive by a variable of the user's.
    #[error("the index of a channel says that `{name}` is at `{url}`, which names a variable")]
    StrangeUrl {
        /// The package.
        name: String,
        /// Where it should be.
        url: String,
    },
    /// A digest that is none.
    #[error("an index has a sha256 that is none")]
    Hash,
}

impl Error {
    /// What a failure of the index's reader means.
    pub(super) fn of_gateway(error: GatewayError) -> Self {
        match error {
            // What our fetcher says comes back as it was.
            GatewayError::ReqwestMiddlewareError(error)
            | GatewayError::FetchRepoDataError(FetchRepoDataError::HttpError(
                reqwest_middleware::Error::Middleware(error),
            )) => match error.downcast::<provenv_fetch::Error>() {
                Ok(error) => Self::Fetch(error),
                Err(error) => Self::Broken { channel: None, reason: with_causes(error.as_ref()) },
            },
            GatewayError::SubdirNotFoundError(error) => {
                Self::NoChannel { channel: channels::shown(&error.channel), subdir: error.subdir }
            }
            GatewayError::ShardedIndexNotCached(url)
            | GatewayError::FetchRepoDataError(FetchRepoDataError::NoCacheAvailable(url)) => {
                Self::NotCached { what: SafeUrl::new(url).to_string() }
            }
            // Of a shard: that there is no index at all is told apart from this.
            GatewayError::ReqwestError(error)
            | GatewayError::FetchRepoDataError(FetchRepoDataError::HttpError(
                reqwest_middleware::Error::Reqwest(error),
            )) if error.status().is_some_and(|status| status == 404) => Self::Reindexed,
            GatewayError::ShardNotCached(name) => Self::NotCached { what: name },
            error => Self::Broken { channel: None, reason: with_causes(&error) },
        }
    }

    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoSubdir { .. } => {
                "a package lies in a folder such as `linux-64` or `noarch` of its channel".to_owned()
            }
            Self::Md5 { .. } => "correct the digest; if a tool wrote it, have it write it anew".to_owned(),
            Self::Fetch(error) => return error.hint(),
            Self::NoChannels { .. } => "add `channels: [conda-forge]`, or name the channel of the package: \
                                        `conda-forge::numpy`"
                .to_owned(),
            Self::Scheme { .. } => "give the channel's https URL, or mirror it to a folder".to_owned(),
            Self::NoChannel { .. } => {
                "check its name; a channel that is not on conda.anaconda.org is given as a URL, or `channel_alias` is \
                 set in `[conda]` of the settings"
                    .to_owned()
            }
            Self::NotCached { .. } => "lock once with the network; what was read then is kept".to_owned(),
            Self::VirtualPackage { .. } => "write e.g. `__cuda=12.4`".to_owned(),
            Self::Glibc { .. } => {
                "leave `__glibc` out: it comes from the base; a later suite of Debian has a newer one".to_owned()
            }
            Self::NoPackage { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Self::NoPackage { channels, .. } => {
                format!("looked for in {}; Python packages that only PyPI has are listed under `pip`", channels.join(", "))
            }
            Self::Unsolvable { explanation } => return explanation.hint(),
            Self::StrangeUrl { .. } => "do not use this channel: it would learn the variable's value".to_owned(),
            Self::Reindexed => "it is being written anew: try again in a minute".to_owned(),
            Self::Broken { .. } => {
                "try again, as it may just be written anew; if it stays so, tell whoever keeps the channel".to_owned()
            }
            Self::Read { .. }
            | Self::Spec { .. }
            | Self::Solver { .. }
            | Self::Archive { .. }
            | Self::Hash => return None,
        })
    }

    /// Which of the packages asked for it is about, by their positions.
    pub fn concerns(&self, asked: &CondaRequirements) -> Vec<usize> {
        let at = |wanted: &dyn Fn(&CondaSpec) -> bool| -> Vec<usize> {
            let specs = asked.packages.iter().map(|package| package.spec.parse::<CondaSpec>().ok());
            let found = specs.enumerate().filter(|(_, spec)| spec.as_ref().is_some_and(wanted));
            found.map(|(position, _)| position).collect()
        };
        match self {
            Self::NoPackage { name, .. } => at(&|spec| spec.name == *name),
            Self::NoChannels { spec } | Self::Spec { spec } => at(&|asked| asked.to_string() == *spec),
            Self::Archive { url, .. } | Self::Md5 { url, .. } => {
                at(&|spec| spec.url.as_ref().is_some_and(|asked| asked.to_string() == *url))
            }
            Self::Unsolvable { explanation } => at(&|spec| explanation.names.contains(&spec.name)),
            _ => Vec::new(),
        }
    }
}

fn of_channel(channel: Option<&str>) -> String {
    channel.map_or_else(|| "an index".to_owned(), |channel| format!("the index of the channel `{channel}`"))
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let message = inner.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = inner.source();
    }
    mask_secrets(text.trim_end())
}

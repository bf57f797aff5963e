//! Settings of a server on who is let in, and how much of what is taken from them: `[oidc]` and `[limits]`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use url::Url;

use crate::config::parse_size;
use crate::housekeeping::parse_age;

/// `[oidc]`: sign-in by an identity provider. Not `Debug`: it holds a secret.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OidcSettings {
    /// The provider, as it names itself; nobody signs in so without it.
    pub issuer: Option<Url>,
    /// What the provider knows this server by.
    pub client_id: String,
    /// A file with the client's secret; `PROVENV_OIDC_CLIENT_SECRET` comes before it. Without either the client is public.
    pub client_secret_file: Option<PathBuf>,
    /// The secret that the environment gives.
    #[serde(skip)]
    pub client_secret: Option<String>,
    /// What is asked for beside `openid`; `profile` otherwise.
    pub scopes: Option<Vec<String>>,
    /// The claim that names a user; `preferred_username` otherwise.
    pub name_claim: Option<String>,
    /// The claim with a user's groups; `groups` otherwise.
    pub groups_claim: Option<String>,
    /// Users of this server whom the first sign-in of that name may become. Others who have a role or a token here become nobody's.
    pub adopt: Vec<String>,
    /// What the provider is called on the page.
    pub label: Option<String>,
    /// The URL that browsers see this server by, where it is not the one that they ask.
    pub public_url: Option<Url>,
    /// Which groups have which roles.
    pub roles: Vec<GroupRole>,
    /// How long a session lasts at the most; 12 hours otherwise.
    #[serde(deserialize_with = "age")]
    pub session: Option<Duration>,
    /// How long a session lasts that nobody uses; 2 hours otherwise.
    #[serde(deserialize_with = "age")]
    pub idle: Option<Duration>,
    /// How long a token lasts that `provenv login` is given; 30 days otherwise.
    #[serde(deserialize_with = "age")]
    pub token: Option<Duration>,
}

/// `[[oidc.roles]]`: what a group may do.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupRole {
    /// The group; `*` is whoever signs in.
    pub group: String,
    /// The workspace; all of them, and the server itself, if not said.
    pub workspace: Option<String>,
    /// `reader`, `contributor` or `owner`.
    pub role: String,
}

/// `[limits]`: how much a server takes. Each has a default that people and a farm of builds do not meet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSettings {
    /// Requests a minute of one user; 12000 otherwise, 0 for any number.
    pub requests: Option<u32>,
    /// Requests a minute of one address without a token that holds; 600 otherwise, 0 for any number.
    pub anonymous: Option<u32>,
    /// Failed sign-ins a minute of one address; 30 otherwise, 0 for any number.
    pub failures: Option<u32>,
    /// Requests of one user that are answered at once; 256 otherwise, 0 for any number.
    pub concurrent: Option<usize>,
    /// Logs that one user follows at once; 64 otherwise, 0 for any number.
    pub streams: Option<usize>,
    /// The most bytes of a body, but for layers; 4 MiB otherwise.
    #[serde(deserialize_with = "size")]
    pub body: Option<u64>,
    /// The most bytes of a request's headers; 32 KiB otherwise.
    #[serde(deserialize_with = "size")]
    pub headers: Option<u64>,
    /// Proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub trusted_proxies: Vec<IpAddr>,
}

impl OidcSettings {
    /// How long a session lasts at the most.
    pub fn session(&self) -> Duration {
        self.session.unwrap_or(Duration::from_hours(12))
    }

    /// How long a session lasts that nobody uses.
    pub fn idle(&self) -> Duration {
        self.idle.unwrap_or(Duration::from_hours(2))
    }

    /// How long a token lasts that `provenv login` is given.
    pub fn token(&self) -> Duration {
        self.token.unwrap_or(Duration::from_hours(30 * 24))
    }

    /// With what the environment says of it, and files beside the settings.
    pub(crate) fn with_environment(mut self) -> Self {
        let secret = std::env::var("PROVENV_OIDC_CLIENT_SECRET").ok();
        self.client_secret = secret.filter(|secret| !secret.is_empty());
        self
    }
}

fn age<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let short = |unit: char| text.strip_suffix(unit).and_then(|digits| digits.parse::<u32>().ok());
    if let Some(seconds) = short('s').or_else(|| short('m').and_then(|minutes| minutes.checked_mul(60))) {
        return Ok(Some(Duration::from_secs(seconds.into())));
    }
    parse_age(&text).map(Some).map_err(serde::de::Error::custom)
}

fn size<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_size(&text).map(Some).map_err(serde::de::Error::custom)
}

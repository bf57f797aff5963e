//! Sign-in by an identity provider (OpenID Connect): a browser by the authorization code with PKCE, the command line by the
//! device grant, which this server brokers. Both end in what this server itself keeps: a session, or a token.

pub(crate) mod browser;
pub(crate) mod device;
mod person;
mod provider;

use std::io;
use std::path::PathBuf;

use provenv_workspace::{Config, LimitSettings, OidcSettings};
use url::Url;

pub(crate) use provider::Provider;

use crate::database::Role;
use crate::problem::Problem;

/// Whom a server lets in, and how much it takes.
pub(crate) struct Admission {
    pub oidc: OidcSettings,
    pub limits: LimitSettings,
    /// Whether clients speak TLS with it.
    pub is_secure: bool,
}

impl Admission {
    /// Of what serves nobody.
    pub fn nobody() -> Self {
        Self { oidc: OidcSettings::default(), limits: LimitSettings::default(), is_secure: false }
    }
}

/// Settings that a server cannot begin with.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// They are not there.
    #[error(transparent)]
    Config(#[from] provenv_workspace::ConfigError),
    /// The issuer.
    #[error("`oidc.issuer` is {0}, and whoever is between could say who signs in")]
    Plain(Url),
    /// The client.
    #[error("`oidc.issuer` is set, and `oidc.client_id` is not")]
    NoClient,
    /// The file with the secret.
    #[error("the file of `oidc.client_secret_file`, {}, cannot be read", .0.display())]
    Secret(PathBuf, #[source] io::Error),
    /// A role.
    #[error("`{role}` is no role (`oidc.roles` for the group `{group}`)")]
    Role {
        /// What is written.
        role: String,
        /// For whom.
        group: String,
    },
    /// What asks for pages elsewhere.
    #[error("no client of HTTP can be made")]
    Client(#[source] reqwest::Error),
}

impl SettingsError {
    /// What the user can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Config(_) => "docs/reference/settings.md has all settings",
            Self::Plain(_) => "write https, but for a provider on this machine",
            Self::NoClient => "the provider gives one where this server is registered with it",
            Self::Secret(..) => "write the client's secret into it, or set PROVENV_OIDC_CLIENT_SECRET",
            Self::Role { .. } => "write `reader`, `contributor` or `owner`",
            Self::Client(_) => "look at the certificates of this machine",
        }
        .to_owned()
    }
}

/// What the settings say. The provider is not asked: a server begins also where it is down.
pub(crate) fn configure(is_secure: bool) -> Result<(Admission, Option<Provider>), SettingsError> {
    let config = Config::load()?;
    let (mut oidc, limits) = (config.oidc, config.limits);
    for given in &oidc.roles {
        given
            .role
            .parse::<Role>()
            .map_err(|()| SettingsError::Role { role: given.role.clone(), group: given.group.clone() })?;
    }
    let provider = match oidc.issuer.clone() {
        None => None,
        Some(issuer) => {
            if !provider::is_private(&issuer) {
                return Err(SettingsError::Plain(issuer));
            }
            if oidc.client_id.is_empty() {
                return Err(SettingsError::NoClient);
            }
            if let (None, Some(file)) = (&oidc.client_secret, &oidc.client_secret_file) {
                let text = fs_err::read_to_string(file)
                    .map_err(|error| SettingsError::Secret(file.clone(), error))?;
                oidc.client_secret = Some(text.trim().to_owned()).filter(|secret| !secret.is_empty());
            }
            Some(Provider::new(issuer, &oidc).map_err(SettingsError::Client)?)
        }
    };
    Ok((Admission { oidc, limits, is_secure }, provider))
}

/// Said where no provider is set.
pub(crate) fn no_provider() -> Box<Problem> {
    Problem::missing("no-provider", "this server has no identity provider")
        .hint("sign in with a token; `[oidc]` in the server's settings names a provider")
}

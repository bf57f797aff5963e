//! Sign-in of the command line (RFC 8628). The server asks the provider in the client's place, so that the command line needs
//! neither a client's identifier nor its secret, and the checks of identity are in one place. It keeps nothing meanwhile: the
//! device code is with the command line, as it would be without a server between.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{no_provider, person};
use crate::database::{Action, Deed, NewToken, Scope};
use crate::problem::{Problem, Result};
use crate::state::Server;

/// The grant's name.
const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// The longest device code.
const LONGEST: usize = 4096;

/// A sign-in that waits for a person.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct DeviceSignIn {
    /// What to ask with whether it was done: a secret.
    device_code: String,
    /// What the person types.
    #[schema(example = "WDJB-MJHT")]
    user_code: String,
    /// Where.
    #[schema(example = "https://id.example/device")]
    verification_uri: String,
    /// The same, with the code in it.
    verification_uri_complete: Option<String>,
    /// After how many seconds it is too late.
    expires_in: u64,
    /// How many seconds to wait between two questions.
    #[serde(default = "usual")]
    interval: u64,
}

fn usual() -> u64 {
    5
}

/// Begins.
pub(crate) async fn begin(server: &Server) -> Result<DeviceSignIn> {
    server.limits.anonymous()?;
    let provider = server.provider.as_ref().ok_or_else(no_provider)?;
    let endpoint = provider.description().await?.device_authorization_endpoint.ok_or_else(|| {
        Problem::missing("no-device-grant", "the identity provider has no sign-in for command lines")
            .hint("make a token on the page, and give it to `provenv login --token -`")
    })?;
    let scopes = server.admission.oidc.scopes.clone().unwrap_or_else(|| vec!["profile".to_owned()]);
    let scope = std::iter::once("openid".to_owned())
        .chain(scopes.into_iter().filter(|scope| scope != "openid"))
        .collect::<Vec<_>>()
        .join(" ");
    let begun = provider.device(&endpoint, &[("scope", &scope)]).await?;
    begun.map_err(|refusal| provider.wrong(refusal.said()))
}

/// Asks whether it was done; gives a token if so.
pub(crate) async fn poll(server: &Server, device_code: &str) -> Result<NewToken> {
    server.limits.anonymous()?;
    let provider = server.provider.as_ref().ok_or_else(no_provider)?;
    if device_code.is_empty() || device_code.len() > LONGEST {
        return Err(Problem::bad("device-code-invalid", "that is no device code"));
    }
    let answer = provider.exchange(&[("grant_type", GRANT), ("device_code", device_code)]).await?;
    let tokens = match answer {
        Ok(tokens) => tokens,
        Err(refusal) => {
            let (code, detail) = match &*refusal.error {
                "authorization_pending" => ("authorization-pending", "nobody has entered the code yet"),
                "slow_down" => ("slow-down", "asked too soon: wait five seconds more between two questions"),
                "access_denied" => ("access-denied", "whoever entered the code said no"),
                "expired_token" => ("device-code-expired", "nobody entered the code in time"),
                "invalid_grant" | "invalid_request" => {
                    server.limits.failure()?;
                    ("device-code-invalid", "the provider knows no such device code")
                }
                _ => return Err(provider.wrong(refusal.said())),
            };
            return Err(Problem::bad(code, detail));
        }
    };
    let claims = provider.claims(&tokens, None).await?;
    let user = person::user(server, provider.issuer(), &claims).await?;
    server.record(&Deed::new(&user, Action::SignIn, &user).with("by", "command line")).await?;
    let expires_at = jiff::Timestamp::now().checked_add(server.admission.oidc.token()).ok();
    let token =
        server.database.make_token(&user, "provenv login", &Scope::default(), expires_at, &user).await?;
    tracing::info!(user, token = token.token.id, "signed in by the provider, on a command line");
    Ok(token)
}

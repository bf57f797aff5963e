//! Sign-in of the command line by the provider that a server has: a person enters a code there, and the server gives a token.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Login, RemoteError, client, keep_token, problem, server};
use crate::{Error, Result};

/// How much longer to wait between two questions, where the provider finds them too many (RFC 8628, section 3.5).
const SLOWER: Duration = Duration::from_secs(5);

/// A sign-in that waits for a person.
#[derive(Clone, Deserialize)]
pub struct DeviceLogin {
    /// The server.
    #[serde(skip)]
    server: String,
    device_code: String,
    /// What the person types.
    pub user_code: String,
    /// Where.
    pub verification_uri: String,
    /// The same, with the code in it.
    pub verification_uri_complete: Option<String>,
    /// After how many seconds it is too late.
    pub expires_in: u64,
    interval: u64,
}

#[derive(Deserialize)]
struct Ways {
    provider: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Token {
    secret: String,
}

impl DeviceLogin {
    /// Begins one; `None` where the server has no provider.
    pub async fn begin(url: &str) -> Result<Option<Self>> {
        let place = server(url)?.to_string();
        let ways: Ways = match send(&place, reqwest::Method::GET, "api/v1/sign-in", None).await {
            Ok(ways) => ways,
            // One that is older than providers.
            Err(RemoteError::Problem { status: 404, .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if ways.provider.is_none() {
            return Ok(None);
        }
        let begun = send(&place, reqwest::Method::POST, "api/v1/sign-in/device", None).await;
        let mut begun: Self = match begun {
            Ok(begun) => begun,
            // A token still does.
            Err(RemoteError::Problem { code, .. }) if code == "no-device-grant" => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        begun.server = place;
        Ok(Some(begun))
    }

    /// Waits until the person has entered the code, and keeps the token.
    pub async fn wait(self) -> Result<Login> {
        let mut pace = Duration::from_secs(self.interval.clamp(1, 60));
        let body = serde_json::json!({ "device_code": self.device_code });
        let last = tokio::time::Instant::now() + Duration::from_secs(self.expires_in);
        loop {
            tokio::time::sleep(pace).await;
            let asked = send(&self.server, reqwest::Method::POST, "api/v1/sign-in/device/token", Some(&body));
            let no = match asked.await {
                Ok(Token { secret }) => return keep_token(&self.server, &secret).await,
                Err(error) => error,
            };
            match &no {
                RemoteError::Problem { code, .. } if code == "authorization-pending" => {}
                RemoteError::Problem { code, .. } if code == "slow-down" => pace += SLOWER,
                // The server, or the provider, is about to begin again, or has too much to do.
                RemoteError::Problem { status: 429 | 502 | 503, .. } | RemoteError::Connect { .. } => {
                    pace = (pace * 2).min(Duration::from_mins(1));
                }
                _ => return Err(no.into()),
            }
            if tokio::time::Instant::now() > last {
                return Err(Error::Arguments {
                    message: "nobody entered the code in time".to_owned(),
                    hint: "run `provenv login` again".to_owned(),
                });
            }
        }
    }
}

async fn send<T: DeserializeOwned>(
    server: &str,
    method: reqwest::Method,
    path: &str,
    body: Option<&serde_json::Value>,
) -> Result<T, RemoteError> {
    let url = format!("{server}{path}");
    let failed = |source: reqwest::Error| RemoteError::Connect {
        url: server.to_owned(),
        source: source.without_url(),
    };
    let mut request = client().map_err(|_| RemoteError::Url(server.to_owned()))?.request(method, &url);
    if let Some(body) = body {
        request = request.json(body);
    }
    let answer = request.send().await.map_err(failed)?;
    let status = answer.status();
    if !status.is_success() {
        return Err(problem(status, answer).await);
    }
    let bytes = answer.bytes().await.map_err(failed)?;
    serde_json::from_slice(&bytes).map_err(|error| RemoteError::Answer { url, what: error.to_string() })
}

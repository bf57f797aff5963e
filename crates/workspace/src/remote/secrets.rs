//! Secrets of a workspace on a server: set, listed, removed, never read.

use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::{Remote, RemoteError};
use crate::Result;

/// A secret to be set. Not `Debug`.
#[derive(Serialize)]
pub struct NewRemoteSecret {
    /// The host that it is sent to; after `http://` where that is to be without TLS.
    pub host: String,
    /// The user.
    pub username: String,
    /// The password, or the token.
    pub password: String,
}

/// A secret, without what is secret of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoteSecret {
    /// What it is called.
    pub name: String,
    /// The host that it is sent to.
    pub host: String,
    /// When it was set.
    pub created_at: jiff::Timestamp,
    /// By whom.
    pub created_by: String,
}

/// What became of sealing all secrets of a server anew.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RekeyedSecrets {
    /// How many were.
    pub secrets: usize,
    /// Those that do not open, `WORKSPACE/NAME`, and are to be set anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unopened: Vec<String>,
}

#[derive(Deserialize)]
struct Secrets<T> {
    secrets: T,
}

impl Remote {
    /// Sets a secret.
    pub async fn set_secret(&self, name: &str, secret: &NewRemoteSecret) -> Result<()> {
        self.send(self.request(Method::PUT, &["secrets", name]).json(secret)).await?;
        Ok(())
    }

    /// The secrets of the workspace, by name.
    pub async fn secrets(&self) -> Result<Vec<RemoteSecret>> {
        let found: Secrets<Vec<RemoteSecret>> = self.json(self.request(Method::GET, &["secrets"])).await?;
        Ok(found.secrets)
    }

    /// Removes a secret.
    pub async fn remove_secret(&self, name: &str) -> Result<()> {
        self.send(self.request(Method::DELETE, &["secrets", name])).await?;
        Ok(())
    }

    /// Has all secrets of the server sealed with a new key.
    pub async fn rekey_secrets(&self) -> Result<RekeyedSecrets> {
        let url = self.server.join("api/v1/secrets/rekey");
        let url = url.map_err(|_| RemoteError::Url(self.server.to_string()))?;
        self.json(self.client.post(url).bearer_auth(&self.token)).await
    }
}

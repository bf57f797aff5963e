//! Who may use a server: its workspaces, who has which role in one, and tokens.

use reqwest::{Method, RequestBuilder};
use serde::{Deserialize, Serialize};

use super::{Remote, RemoteError, traced};
use crate::Result;

/// A workspace of a server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoteWorkspace {
    /// Its name.
    pub name: String,
    /// The role that whoever asks has in it.
    pub role: String,
}

/// Somebody with a role in a workspace.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoteMember {
    /// The user.
    pub user: String,
    /// Their role: `reader`, `contributor` or `owner`.
    pub role: String,
}

/// A token to be made.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NewRemoteToken {
    /// Whose it is to be; of whoever asks, if nobody is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What it is for.
    pub note: String,
    /// After how many days it ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in_days: Option<u32>,
    /// The workspace that it is to be for alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// The role that it is to have at the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

/// A token, without its secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoteToken {
    /// Its identifier.
    pub id: String,
    /// Whose it is.
    pub user: String,
    /// Its first characters.
    pub prefix: String,
    /// What it is for.
    pub note: String,
    /// The workspace that it is for, where it is for one alone.
    pub workspace: Option<String>,
    /// The role that it has at the most.
    pub role: Option<String>,
    /// When it was made.
    pub created_at: jiff::Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<jiff::Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<jiff::Timestamp>,
    /// When it was last used, to the minute.
    pub used_at: Option<jiff::Timestamp>,
}

/// A token that was made. Not `Debug`.
#[derive(Clone, Serialize, Deserialize)]
pub struct MadeToken {
    /// What it is known by.
    #[serde(flatten)]
    pub token: RemoteToken,
    /// What is sent with requests; it is not shown again.
    pub secret: String,
}

#[derive(Deserialize)]
struct Workspaces {
    workspaces: Vec<RemoteWorkspace>,
}

#[derive(Deserialize)]
struct Members {
    members: Vec<RemoteMember>,
}

#[derive(Deserialize)]
struct Tokens {
    tokens: Vec<RemoteToken>,
}

impl Remote {
    /// The workspaces that are there for whoever asks.
    pub async fn workspaces(&self) -> Result<Vec<RemoteWorkspace>> {
        let found: Workspaces = self.json(self.of_server(Method::GET, &["workspaces"])?).await?;
        Ok(found.workspaces)
    }

    /// Makes a workspace.
    pub async fn make_workspace(&self, name: &str) -> Result<RemoteWorkspace> {
        let body = serde_json::json!({ "name": name });
        self.json(self.of_server(Method::POST, &["workspaces"])?.json(&body)).await
    }

    /// Who has which role in the workspace.
    pub async fn members(&self) -> Result<Vec<RemoteMember>> {
        let found: Members = self.json(self.request(Method::GET, &["members"])).await?;
        Ok(found.members)
    }

    /// Gives somebody a role in the workspace, in place of the one they have.
    pub async fn set_member(&self, user: &str, role: &str) -> Result<RemoteMember> {
        let body = serde_json::json!({ "role": role });
        self.json(self.request(Method::PUT, &["members", user]).json(&body)).await
    }

    /// Takes somebody's role in the workspace away.
    pub async fn remove_member(&self, user: &str) -> Result<()> {
        self.send(self.request(Method::DELETE, &["members", user])).await?;
        Ok(())
    }

    /// Makes a token.
    pub async fn make_token(&self, new: &NewRemoteToken) -> Result<MadeToken> {
        self.json(self.of_server(Method::POST, &["tokens"])?.json(new)).await
    }

    /// The tokens of whoever asks; all of the server, for its owners.
    pub async fn tokens(&self) -> Result<Vec<RemoteToken>> {
        let found: Tokens = self.json(self.of_server(Method::GET, &["tokens"])?).await?;
        Ok(found.tokens)
    }

    /// Revokes a token.
    pub async fn revoke_token(&self, id: &str) -> Result<()> {
        self.send(self.of_server(Method::DELETE, &["tokens", id])?).await?;
        Ok(())
    }

    /// A request about what is no workspace's.
    fn of_server(&self, method: Method, path: &[&str]) -> Result<RequestBuilder> {
        let mut url = self.server.clone();
        let wrong = || RemoteError::Url(self.server.to_string());
        url.path_segments_mut().map_err(|()| wrong())?.pop_if_empty().extend(["api", "v1"]).extend(path);
        Ok(traced(self.client.request(method, url).bearer_auth(&self.token)))
    }
}

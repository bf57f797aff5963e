//! Environments that workspaces of a server share.

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Remote;
use crate::lifecycle::Subject;
use crate::{Error, Result};

/// An environment that is in two workspaces of a server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoteShare {
    /// The environment.
    pub name: String,
    /// The workspace that it is of.
    pub from: String,
    /// The workspace that has it too, read-only.
    pub to: String,
    /// Its name there.
    pub name_there: String,
    /// Who shared it.
    pub shared_by: String,
    /// When.
    pub shared_at: jiff::Timestamp,
}

impl Remote {
    /// Shares an environment with another workspace of the server.
    pub async fn share(&self, name: &str, with: &str, there: Option<&str>) -> Result<RemoteShare> {
        let path = ["environments", &whole(name)?, "shares", &self.other(with)?];
        self.json(self.request(Method::PUT, &path).json(&json!({ "name": there }))).await
    }

    /// Shares it no more.
    pub async fn unshare(&self, name: &str, with: &str) -> Result<()> {
        let path = ["environments", &whole(name)?, "shares", &self.other(with)?];
        self.send(self.request(Method::DELETE, &path)).await?;
        Ok(())
    }

    /// Ends that another workspace shares a name with this one.
    pub async fn decline_share(&self, name: &str) -> Result<()> {
        self.send(self.request(Method::DELETE, &["shares", &whole(name)?])).await?;
        Ok(())
    }

    /// What the workspace shares with others, and others with it.
    pub async fn shares(&self) -> Result<Vec<RemoteShare>> {
        #[derive(Deserialize)]
        struct Shares {
            shares: Vec<RemoteShare>,
        }
        Ok(self.json::<Shares>(self.asking(&["shares"], &[])).await?.shares)
    }

    /// Another workspace of this server.
    fn other(&self, text: &str) -> Result<String> {
        self.on_same_server(text).ok_or_else(|| Error::Arguments {
            message: format!("`{text}` is no workspace of the server {}", self.server()),
            hint: "give the name of one, or its URL; `provenv env copy --to` copies to another server or into a folder".to_owned(),
        })
    }
}

/// A name: what is shared is all of it.
fn whole(text: &str) -> Result<String> {
    match Subject::parse(text)? {
        Subject { name, version: None } => Ok(name),
        Subject { name, .. } => Err(Error::Arguments {
            message: format!("`{text}` is one version, and an environment is shared with all of them"),
            hint: format!(
                "give the name alone, `{name}`; `provenv env copy {text} --to WORKSPACE` copies this one"
            ),
        }),
    }
}

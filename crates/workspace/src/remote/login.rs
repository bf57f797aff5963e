//! Tokens of servers, kept for this user: `tokens.json` beside the settings, readable by nobody else.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::Url;

use super::{RemoteError, client, problem, server};
use crate::{Error, Result};

/// Who logged in, and where.
#[derive(Clone, Debug, Serialize)]
pub struct Login {
    /// The server.
    pub server: String,
    /// The user whose token it is.
    pub user: String,
    /// Where it is kept.
    pub file: PathBuf,
}

#[derive(Deserialize)]
struct Whoami {
    user: String,
}

/// Keeps a token of the server that `url` is of, if the server takes it.
pub async fn keep_token(url: &str, token: &str) -> Result<Login> {
    let server = server(url)?;
    let file = file()?;
    let whoami = server.join("api/v1/whoami").map_err(|_| RemoteError::Url(url.to_owned()))?;
    let answer = client()?.get(whoami.clone()).bearer_auth(token).send().await.map_err(|error| {
        Error::from(RemoteError::Connect { url: server.to_string(), source: error.without_url() })
    })?;
    let status = answer.status();
    if !status.is_success() {
        return Err(problem(status, answer).await.into());
    }
    let wrong = |what: String| RemoteError::Answer { url: whoami.to_string(), what };
    let bytes = answer.bytes().await.map_err(|error| wrong(error.without_url().to_string()))?;
    let whoami: Whoami = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    change(|tokens| {
        tokens.insert(server.to_string(), token.to_owned());
    })?;
    Ok(Login { server: server.to_string(), user: whoami.user, file })
}

/// Forgets the token of a server; says whether there was one.
pub fn forget_token(url: &str) -> Result<bool> {
    let server = server(url)?;
    let mut was_there = false;
    change(|tokens| was_there = tokens.remove(server.as_str()).is_some())?;
    Ok(was_there)
}

/// The token for a server: that of the environment, or the one that is kept.
pub(super) fn token(server: &Url) -> Result<String> {
    if let Ok(token) = std::env::var("PROVENV_TOKEN")
        && !token.is_empty()
    {
        return Ok(token);
    }
    let token = read()?.remove(server.as_str());
    Ok(token.ok_or_else(|| RemoteError::NoToken(server.to_string()))?)
}

fn file() -> Result<PathBuf> {
    let folder = match std::env::var_os("XDG_CONFIG_HOME") {
        Some(folder) if !folder.is_empty() => PathBuf::from(folder),
        _ => PathBuf::from(std::env::var_os("HOME").ok_or(Error::NoHome)?).join(".config"),
    };
    Ok(folder.join("provenv/tokens.json"))
}

fn read() -> Result<BTreeMap<String, String>> {
    let file = file()?;
    let bytes = match fs_err::read(&file) {
        Ok(bytes) => bytes,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(BTreeMap::new());
        }
        Err(source) => return Err(RemoteError::Tokens { file, source }.into()),
    };
    // Without the parser's message, which may quote a token.
    let wrong =
        |_| RemoteError::Tokens { file, source: io::Error::other("it is no JSON of tokens by server") };
    Ok(serde_json::from_slice(&bytes).map_err(wrong)?)
}

/// Whole or not at all, and from its first byte on for this user alone.
fn change(change: impl FnOnce(&mut BTreeMap<String, String>)) -> Result<()> {
    let mut tokens = read()?;
    change(&mut tokens);
    let file = file()?;
    let partial = file.with_extension(format!("{}.partial", std::process::id()));
    let write = || {
        if let Some(folder) = file.parent() {
            fs_err::create_dir_all(folder)?;
        }
        let mut text = serde_json::to_vec_pretty(&tokens)?;
        text.push(b'\n');
        let mut options = fs_err::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        options.options_mut().mode(0o600);
        let mut written = options.open(&partial)?;
        written.write_all(&text)?;
        written.sync_all()?;
        fs_err::rename(&partial, &file)
    };
    write().map_err(|source| {
        let _ = fs_err::remove_file(&partial);
        RemoteError::Tokens { file: file.clone(), source }.into()
    })
}

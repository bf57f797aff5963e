//! Credentials for indexes and registries, per workspace. They are sealed with AES-256-GCM; the key is a file of the server's
//! folder, so that the database alone, or a copy of it, gives nothing away.
//!
//! What is sealed is bound to workspace, name and origin: a row that was moved to another does not open.
//!
//! Whoever seals reads the keys, writes them and commits in one turn of the database, so that servers that share both do not take
//! keys away from each other. The file is written before the commit, and holds every key that a row names: whatever stops this,
//! each secret opens.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use provenv_definition::Digest;
use provenv_workspace::{Credentials, HostCredentials, Kept, Unusable};
use serde::{Deserialize, Serialize};

use crate::database::{Database, DatabaseError, SealedSecret};
use crate::whole;

/// The file with the keys, where the settings name no other: the first seals, the others still open.
const FILE: &str = "secrets.key";
/// Names the file.
const SETTING: &str = "PROVENV_SERVER_SECRETS_KEY";

/// Why secrets cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretsError {
    /// The file with the keys.
    #[error("the keys of the secrets in {} cannot be used", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system gave no random numbers.
    #[error("nothing can be sealed here")]
    Random,
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// How often rows and keys are read again, where keys were made anew between.
const READINGS: usize = 5;

/// What a workspace's secrets are, by origin: of those that do not open, why.
pub(crate) type Opened = HashMap<String, Result<Credentials, Unusable>>;

/// What became of sealing everything anew.
pub(crate) struct Resealed {
    /// How many were.
    pub secrets: usize,
    /// Those that do not open, and are as they were: `WORKSPACE/NAME`.
    pub unopened: Vec<String>,
}

/// What is sealed. Not `Debug`.
#[derive(Serialize, Deserialize)]
struct Content {
    username: String,
    password: String,
}

/// A key and what it is called.
struct Key {
    id: String,
    bytes: [u8; 32],
}

impl Key {
    fn of(bytes: [u8; 32]) -> Self {
        Self { id: Digest::of(&bytes).short(), bytes }
    }

    fn generate() -> Result<Self, SecretsError> {
        let mut bytes = [0; 32];
        SystemRandom::new().fill(&mut bytes).map_err(|_| SecretsError::Random)?;
        Ok(Self::of(bytes))
    }

    /// As it is kept.
    fn line(&self) -> String {
        hex::encode(self.bytes) + "\n"
    }

    fn cipher(&self) -> Result<RandomizedNonceKey, SecretsError> {
        RandomizedNonceKey::new(&AES_256_GCM, &self.bytes).map_err(|_| SecretsError::Random)
    }
}

/// The keys of a server.
pub(crate) struct Secrets {
    file: PathBuf,
}

impl Secrets {
    /// Those of the server at `root`.
    pub fn of(root: &Path) -> Self {
        let named = std::env::var_os(SETTING).filter(|file| !file.is_empty());
        Self { file: named.map_or_else(|| root.join(FILE), PathBuf::from) }
    }

    /// Seals credentials for an origin and keeps them. Gives the name of another secret for it, if there is one, and keeps nothing
    /// then.
    pub async fn set(
        &self,
        database: &Database,
        (workspace, name, origin): (&str, &str, &str),
        credentials: Credentials,
        by: &str,
    ) -> Result<Option<String>, SecretsError> {
        let content = Content { username: credentials.username, password: credentials.password };
        let text = serde_json::to_vec(&content).map_err(|_| SecretsError::Random)?;
        let place = (workspace, name, origin);
        database.set_secret(place, by, || seal(&self.newest()?, place, text)).await
    }

    /// What a workspace's secrets are. One that does not open is no reason to withhold the others.
    pub async fn open(&self, database: &Database, workspace: &str) -> Result<Opened, SecretsError> {
        let mut readings = 0;
        loop {
            let sealed = database.sealed_secrets(workspace).await?;
            if sealed.is_empty() {
                return Ok(HashMap::new());
            }
            // Read each time: another server may have changed it. After the rows: the keys that they name stay there until
            // the second `rekey` from now.
            let keys = self.keys()?;
            let is_known = |secret: &SealedSecret| keys.iter().any(|key| key.id == secret.key_id);
            readings += 1;
            if readings < READINGS && !sealed.iter().all(is_known) {
                continue;
            }
            let opened = sealed.into_iter().map(|secret| {
                let found = opened(&keys, &secret).ok_or_else(|| {
                    tracing::error!(
                        workspace,
                        name = secret.name,
                        key = secret.key_id,
                        "a secret cannot be opened: it was changed, or its key is not here"
                    );
                    Unusable(format!(
                        "the secret `{}` of the workspace cannot be opened: it was changed, or its key `{}` is not on this server",
                        secret.name, secret.key_id
                    ))
                });
                (secret.host, found)
            });
            return Ok(opened.collect());
        }
    }

    /// Makes a new key, and seals everything with it. What does not open stays as it is, and the key that it names, too.
    pub async fn rekey(&self, database: &Database, by: &str) -> Result<Resealed, SecretsError> {
        let mut unopened = Vec::new();
        let count = database.reseal_secrets(by, |secrets| self.reseal(secrets, &mut unopened)).await?;
        Ok(Resealed { secrets: count, unopened })
    }

    fn reseal(
        &self,
        secrets: &[SealedSecret],
        unopened: &mut Vec<String>,
    ) -> Result<Vec<SealedSecret>, SecretsError> {
        let mut keys = self.keys()?;
        // Those that rows name, and the one that was the newest: who reads just now may have rows from before, and the commit
        // may fail. They go with the next new key, if no row names them then.
        let mut place = 0;
        keys.retain(|key| {
            place += 1;
            place == 1 || secrets.iter().any(|secret| secret.key_id == key.id)
        });
        let mut resealed = Vec::with_capacity(secrets.len());
        let new = Key::generate()?;
        for secret in secrets {
            match open(&keys, secret) {
                Some(text) => {
                    resealed.push(seal(&new, (&secret.workspace, &secret.name, &secret.host), text)?);
                }
                None => unopened.push(format!("{}/{}", secret.workspace, secret.name)),
            }
        }
        keys.insert(0, new);
        let text: String = keys.iter().map(Key::line).collect();
        whole::replace(&self.file, text.as_bytes()).map_err(|source| self.failed(source))?;
        Ok(resealed)
    }

    /// The key that seals, made where there is none.
    fn newest(&self) -> Result<Key, SecretsError> {
        if let Some(key) = self.keys()?.into_iter().next() {
            return Ok(key);
        }
        let key = Key::generate()?;
        if whole::make(&self.file, key.line().as_bytes()).map_err(|source| self.failed(source))? {
            return Ok(key);
        }
        // Another was quicker, or it is there and empty.
        let empty = || {
            self.failed(io::Error::other(
                "it is empty: bring it back, or remove it where there are no secrets yet",
            ))
        };
        self.keys()?.into_iter().next().ok_or_else(empty)
    }

    fn failed(&self, source: io::Error) -> SecretsError {
        SecretsError::File { file: self.file.clone(), source }
    }

    fn keys(&self) -> Result<Vec<Key>, SecretsError> {
        let text = match fs_err::read_to_string(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.failed(error)),
        };
        let key = |line: &str| {
            let mut bytes = [0; 32];
            hex::decode_to_slice(line.trim(), &mut bytes).map_err(|_| {
                self.failed(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a line is not a key of 64 hexadecimal digits",
                ))
            })?;
            Ok(Key::of(bytes))
        };
        text.lines().filter(|line| !line.trim().is_empty()).map(key).collect()
    }
}

/// What a secret is bound to: none of the parts can run into another.
fn bound(workspace: &str, name: &str, host: &str) -> Vec<u8> {
    let mut bytes = b"provenv secret 1".to_vec();
    for part in [workspace, name, host] {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}

fn seal(
    key: &Key,
    (workspace, name, host): (&str, &str, &str),
    mut text: Vec<u8>,
) -> Result<SealedSecret, SecretsError> {
    let aad = Aad::from(bound(workspace, name, host));
    let nonce = key.cipher()?.seal_in_place_append_tag(aad, &mut text).map_err(|_| SecretsError::Random)?;
    let mut bytes = nonce.as_ref().to_vec();
    bytes.extend_from_slice(&text);
    Ok(SealedSecret {
        workspace: workspace.to_owned(),
        name: name.to_owned(),
        host: host.to_owned(),
        sealed: BASE64_STANDARD.encode(bytes),
        key_id: key.id.clone(),
    })
}

/// What is sealed, if it is as it was and the key is here.
fn open(keys: &[Key], secret: &SealedSecret) -> Option<Vec<u8>> {
    let key = keys.iter().find(|key| key.id == secret.key_id)?;
    let mut bytes = BASE64_STANDARD.decode(&secret.sealed).ok()?;
    let nonce = Nonce::try_assume_unique_for_key(bytes.get(..NONCE_LEN)?).ok()?;
    let aad = Aad::from(bound(&secret.workspace, &secret.name, &secret.host));
    let text = key.cipher().ok()?.open_in_place(nonce, aad, bytes.get_mut(NONCE_LEN..)?).ok()?;
    Some(text.to_vec())
}

/// The same as credentials.
fn opened(keys: &[Key], secret: &SealedSecret) -> Option<Credentials> {
    let Content { username, password } = serde_json::from_slice(&open(keys, secret)?).ok()?;
    Some(Credentials { username, password })
}

/// The secrets of a workspace that is open: what was read last. Cheap to clone; clones share them.
#[derive(Clone, Default)]
pub(crate) struct Held(Arc<RwLock<Opened>>);

impl Held {
    /// These instead of those.
    pub fn replace(&self, with: Opened) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = with;
    }

    /// For whoever asks by origin.
    pub fn by_origin(&self) -> HostCredentials {
        let held = Arc::clone(&self.0);
        HostCredentials::new(move |origin| -> Kept {
            held.read().unwrap_or_else(PoisonError::into_inner).get(origin).cloned()
        })
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held(****)")
    }
}

/// What a build's process is told of an origin.
#[derive(Serialize)]
#[serde(untagged)]
enum Told<'a> {
    Content { username: &'a str, password: &'a str },
    Unusable { error: &'a str },
}

/// The variable by which a build's process gets them, and nothing else. It is empty where there are none.
pub(crate) fn variable(secrets: &Opened) -> String {
    let told: HashMap<&str, Told<'_>> = secrets
        .iter()
        .map(|(origin, found)| {
            let told = match found {
                Ok(Credentials { username, password }) => Told::Content { username, password },
                Err(Unusable(why)) => Told::Unusable { error: why },
            };
            (origin.as_str(), told)
        })
        .collect();
    serde_json::to_string(&told).unwrap_or_else(|_| "{}".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Key, open, seal};

    #[test]
    fn what_is_sealed_opens_where_it_belongs_and_nowhere_else() {
        let (key, other) = (Key::generate().unwrap(), Key::generate().unwrap());
        let sealed = seal(&key, ("default", "index", "a.example"), b"hunter2".to_vec()).unwrap();
        assert!(!sealed.sealed.contains("hunter2"));
        let keys = [other, Key::of(key.bytes)];
        assert_eq!(open(&keys, &sealed).unwrap(), b"hunter2");
        assert_eq!(open(&keys[..1], &sealed), None, "without its key");
        for change in 0..4 {
            let mut moved = sealed.clone();
            match change {
                0 => moved.workspace = "vision".to_owned(),
                1 => moved.name = "inde".to_owned(),
                2 => moved.host = "b.example".to_owned(),
                _ => moved.sealed = moved.sealed.replacen(|c: char| c.is_ascii_lowercase(), "A", 1),
            }
            assert_eq!(open(&keys, &moved), None, "{change}");
        }
        let again = seal(&key, ("default", "index", "a.example"), b"hunter2".to_vec()).unwrap();
        assert_ne!(again.sealed, sealed.sealed, "never the same twice");
    }
}

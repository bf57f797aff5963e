//! Credentials for indexes and registries, per workspace. They are sealed with AES-256-GCM; the key is a file of the server's
//! folder, so that the database alone, or a copy of it, gives nothing away.
//!
//! What is sealed is bound to workspace, name and host: a row that was moved to another does not open.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use provenv_definition::Digest;
use provenv_workspace::{Credentials, HostCredentials};
use serde::{Deserialize, Serialize};

use crate::database::{Database, DatabaseError, SealedSecret};

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
    /// A secret that no key here opens.
    #[error(
        "the secret `{name}` of `{workspace}` cannot be opened: it was changed, or its key `{key_id}` is not here"
    )]
    Sealed {
        /// The workspace.
        workspace: String,
        /// The secret.
        name: String,
        /// The key.
        key_id: String,
    },
    /// The system gave no random numbers.
    #[error("nothing can be sealed here")]
    Random,
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
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

    /// Seals credentials for a host.
    pub fn seal(
        &self,
        (workspace, name, host): (&str, &str, &str),
        credentials: &Credentials,
    ) -> Result<SealedSecret, SecretsError> {
        let content =
            Content { username: credentials.username.clone(), password: credentials.password.clone() };
        let text = serde_json::to_vec(&content).map_err(|_| SecretsError::Random)?;
        seal(&self.newest()?, (workspace, name, host), text)
    }

    /// What a workspace's secrets are, by host.
    pub async fn open(
        &self,
        database: &Database,
        workspace: &str,
    ) -> Result<HashMap<String, Credentials>, SecretsError> {
        let sealed = database.sealed_secrets(workspace).await?;
        if sealed.is_empty() {
            return Ok(HashMap::new());
        }
        // Read each time: another server may have changed it.
        let keys = self.keys()?;
        let opened = sealed.into_iter().map(|secret| {
            let broken = || SecretsError::Sealed {
                workspace: secret.workspace.clone(),
                name: secret.name.clone(),
                key_id: secret.key_id.clone(),
            };
            let text = open(&keys, &secret).ok_or_else(broken)?;
            let Content { username, password } = serde_json::from_slice(&text).map_err(|_| broken())?;
            Ok((secret.host, Credentials { username, password }))
        });
        opened.collect()
    }

    /// Makes a new key, and seals everything with it. The old key is in the file until all is done, so that whatever stops
    /// this, every secret opens.
    pub async fn rekey(&self, database: &Database, by: &str) -> Result<usize, SecretsError> {
        let old = self.keys()?;
        let new = Key::generate()?;
        let mut all = vec![Key::of(new.bytes)];
        all.extend(old);
        self.write(&all)?;
        let count = database
            .reseal_secrets(by, |secret| {
                let text = open(&all, secret).ok_or_else(|| SecretsError::Sealed {
                    workspace: secret.workspace.clone(),
                    name: secret.name.clone(),
                    key_id: secret.key_id.clone(),
                })?;
                seal(&new, (&secret.workspace, &secret.name, &secret.host), text)
            })
            .await?;
        self.write(&[new])?;
        Ok(count)
    }

    /// The key that seals, made where there is none.
    fn newest(&self) -> Result<Key, SecretsError> {
        if let Some(key) = self.keys()?.into_iter().next() {
            return Ok(key);
        }
        let key = Key::generate()?;
        let failed = |source| SecretsError::File { file: self.file.clone(), source };
        let options = fs_err::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.file);
        match options {
            Ok(mut file) => {
                writeln!(file, "{}", hex::encode(key.bytes)).map_err(failed)?;
                file.sync_all().map_err(failed)?;
                Ok(key)
            }
            // Another was quicker.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let gone = || failed(io::Error::other("it holds no key"));
                self.keys()?.into_iter().next().ok_or_else(gone)
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn keys(&self) -> Result<Vec<Key>, SecretsError> {
        let failed = |source| SecretsError::File { file: self.file.clone(), source };
        let text = match fs_err::read_to_string(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let key = |line: &str| {
            let mut bytes = [0; 32];
            hex::decode_to_slice(line.trim(), &mut bytes).map_err(|_| {
                failed(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a line is not a key of 64 hexadecimal digits",
                ))
            })?;
            Ok(Key::of(bytes))
        };
        text.lines().filter(|line| !line.trim().is_empty()).map(key).collect()
    }

    fn write(&self, keys: &[Key]) -> Result<(), SecretsError> {
        let failed = |source| SecretsError::File { file: self.file.clone(), source };
        let beside = self.file.with_extension(format!("{}.new", std::process::id()));
        let text: String = keys.iter().map(|key| hex::encode(key.bytes) + "\n").collect();
        let mut file = fs_err::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)
            .map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        fs_err::rename(&beside, &self.file).map_err(failed)
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

/// The secrets of a workspace that is open: what was read last. Cheap to clone; clones share them.
#[derive(Clone, Default)]
pub(crate) struct Held(Arc<RwLock<HashMap<String, Credentials>>>);

impl Held {
    /// These instead of those.
    pub fn replace(&self, with: HashMap<String, Credentials>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = with;
    }

    /// For whoever asks by host.
    pub fn by_host(&self) -> HostCredentials {
        let held = Arc::clone(&self.0);
        HostCredentials::new(move |host| {
            held.read().unwrap_or_else(PoisonError::into_inner).get(host).cloned()
        })
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held(****)")
    }
}

/// The variable by which a build's process gets them, and nothing else. It is empty where there are none.
pub(crate) fn variable(secrets: &HashMap<String, Credentials>) -> String {
    let content: HashMap<&str, Content> = secrets
        .iter()
        .map(|(host, credentials)| {
            let Credentials { username, password } = credentials.clone();
            (host.as_str(), Content { username, password })
        })
        .collect();
    serde_json::to_string(&content).unwrap_or_else(|_| "{}".to_owned())
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

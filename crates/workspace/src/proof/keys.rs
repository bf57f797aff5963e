//! The keys of a workspace: `keys/NAME.key` and `keys/NAME.pub`.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use provenv_definition::Digest;
use provenv_image::proof::{KeyError, KeyType, PublicKey, SigningKey};
use serde::Serialize;

use super::ProofError;
use crate::error::IoContext;
use crate::{Error, Result, Workspace};

/// No key comes near.
const LARGEST: u64 = 1 << 16;

/// A key to be made.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// What it is called: its files are `NAME.key` and `NAME.pub`.
    pub name: String,
    /// Where they go; the workspace's own folder of keys otherwise.
    pub to: Option<PathBuf>,
    /// How it signs.
    pub kind: KeyType,
}

/// A key, as shown to people and programs. Never its private half.
#[derive(Clone, Debug, Serialize)]
pub struct KeyDetails {
    /// What it is called.
    pub name: String,
    /// How it signs.
    #[serde(rename = "type")]
    pub kind: KeyType,
    /// What signatures call it.
    pub id: Digest,
    /// The file with its public half.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public: Option<PathBuf>,
    /// The file with its private half, if it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private: Option<PathBuf>,
    /// Its public half.
    pub pem: String,
}

impl KeyDetails {
    fn of(name: &str, key: &PublicKey, public: Option<PathBuf>, private: Option<PathBuf>) -> Self {
        let private = private.filter(|file| file.exists());
        Self { name: name.to_owned(), kind: key.kind(), id: key.id(), public, private, pem: key.to_pem() }
    }
}

impl Workspace {
    fn keys_folder(&self) -> PathBuf {
        self.root.join("keys")
    }

    /// Makes a key. Its private half can be read by nobody but its owner; none is ever replaced.
    pub fn new_key(&self, new: &NewKey) -> Result<KeyDetails> {
        if !is_name(&new.name) {
            return Err(ProofError::KeyName(new.name.clone()).into());
        }
        let folder = new.to.clone().unwrap_or_else(|| self.keys_folder());
        let (private, public) = files(&folder, &new.name);
        if let Some(there) = [&private, &public].into_iter().find(|file| file.exists()) {
            return Err(ProofError::KeyExists(there.clone()).into());
        }
        fs_err::create_dir_all(&folder).doing(|| "could not make the folder for keys".to_owned())?;
        let key = SigningKey::generate(new.kind).map_err(ProofError::Generate)?;
        let pem = key.to_pem().map_err(ProofError::Generate)?;
        let writing = || "could not write the key".to_owned();
        // The private half goes last: where it is, the other is too.
        write_new(&public, key.public().to_pem().as_bytes(), 0o666).doing(writing)?;
        write_new(&private, pem.as_bytes(), 0o600).doing(writing)?;
        Ok(KeyDetails::of(&new.name, key.public(), Some(public), Some(private)))
    }

    /// The keys of this workspace by name.
    pub fn keys(&self) -> Result<Vec<KeyDetails>> {
        let reading = || "could not read the folder with keys".to_owned();
        let folder = self.keys_folder();
        let entries = match fs_err::read_dir(&folder) {
            Ok(entries) => entries.collect::<std::io::Result<Vec<_>>>().doing(reading)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(Error::Io { what: reading(), source }),
        };
        let names = entries.iter().filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some(name.strip_suffix(".pub")?.to_owned())
        });
        let mut names: Vec<String> = names.collect();
        names.sort_unstable();
        names
            .iter()
            .map(|name| {
                let (private, public) = files(&folder, name);
                let key = public_in(&public)?;
                Ok(KeyDetails::of(name, &key, Some(public), Some(private)))
            })
            .collect()
    }

    /// A key as people know it: `NAME (sha256:…)` where it is one of this workspace's.
    pub(crate) fn called(&self, id: &Digest) -> String {
        // Keys that cannot be read are told of where they are used.
        let known = self.keys().unwrap_or_default().into_iter().find(|key| key.id == *id);
        known.map_or_else(|| id.to_string(), |key| format!("{} ({id})", key.name))
    }

    /// A key by its name in this workspace, or the one in a file.
    pub fn key_details(&self, key: &str, folder: &Path) -> Result<KeyDetails> {
        if let Some(found) = self.keys()?.into_iter().find(|found| found.name == key) {
            return Ok(found);
        }
        let file = folder.join(key);
        let public = self.public_key(key, folder)?;
        let name = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(KeyDetails::of(&name, &public, None, None))
    }

    /// The private key that `key` names: `-` for standard input, a name in this workspace, or a file.
    pub(crate) fn signing_key(&self, key: &str, folder: &Path) -> Result<SigningKey> {
        let (shown, text) = if key == "-" {
            let mut text = String::new();
            let read = std::io::stdin().take(LARGEST).read_to_string(&mut text);
            read.doing(|| "could not read the key from standard input".to_owned())?;
            ("standard input".to_owned(), text)
        } else {
            let file = self.key_file(key, folder, |folder, name| files(folder, name).0)?;
            let mode = fs_err::metadata(&file).map(|file| file.permissions().mode()).unwrap_or_default();
            if mode & 0o077 != 0 {
                let shown = file.display();
                self.reporter.note(&format!("others may use the private key `{shown}`: `chmod 600` it"));
            }
            (file.display().to_string(), read(&file)?)
        };
        text.parse().map_err(|source| ProofError::Key { file: shown, source }.into())
    }

    /// The public key that `key` names: a name in this workspace or a file. A private key has its public half in it.
    pub(crate) fn public_key(&self, key: &str, folder: &Path) -> Result<PublicKey> {
        public_in(&self.key_file(key, folder, |folder, name| files(folder, name).1)?)
    }

    /// Every public key of this workspace.
    pub(crate) fn public_keys(&self) -> Result<Vec<PublicKey>> {
        let pems = self.keys()?.into_iter().map(|key| (key.name, key.pem));
        pems.map(|(file, pem)| pem.parse().map_err(|source| ProofError::Key { file, source }.into()))
            .collect()
    }

    fn key_file(&self, key: &str, folder: &Path, part: impl Fn(&Path, &str) -> PathBuf) -> Result<PathBuf> {
        // Before files: whoever wrote the folder that one is in must not choose whom one trusts.
        let own = part(&self.keys_folder(), key);
        if is_name(key) && own.is_file() {
            return Ok(own);
        }
        let file = folder.join(key);
        if file.is_file() { Ok(file) } else { Err(ProofError::NoKey(key.to_owned()).into()) }
    }
}

/// The files of a key: private, public.
fn files(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    (folder.join(format!("{name}.key")), folder.join(format!("{name}.pub")))
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.len() <= 64
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

/// The public key in `file`, or that of the private key there.
pub(super) fn public_in(file: &Path) -> Result<PublicKey> {
    let text = read(file)?;
    let key = match text.parse::<PublicKey>() {
        Err(KeyError::OtherKind { .. }) => text.parse::<SigningKey>().map(|key| key.public().clone()),
        key => key,
    };
    key.map_err(|source| ProofError::Key { file: file.display().to_string(), source }.into())
}

fn read(file: &Path) -> Result<String> {
    let reading = || "could not read the key".to_owned();
    let mut bytes = Vec::new();
    let opened = fs_err::File::open(file).doing(reading)?;
    opened.take(LARGEST).read_to_end(&mut bytes).doing(reading)?;
    // What is not text is no PEM, and is said to be none.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Writes a file that must not be there, with this mode from its first byte on.
fn write_new(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    let mut options = fs_err::OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

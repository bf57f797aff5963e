//! Signed notes (C2SP `signed-note`): a text, and below it who signed it. Keys are Ed25519.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

/// Ed25519, as notes number it.
const ALGORITHM: u8 = 1;
/// What private keys begin with in a file.
const PRIVATE: &str = "PRIVATE+KEY+";
/// Before each signature: a dash and a space.
const MARK: &str = "\u{2014} ";
/// The most signatures of a note.
const MOST: usize = 100;

/// What is wrong with a note or a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not a key.
    #[error("it is no key of the form NAME+HASH+BASE64")]
    Key,
    /// A name that a key cannot have.
    #[error("`{0}` cannot be the name of a key: it has a space or a `+` in it, or nothing")]
    Name(String),
    /// The system gave no random numbers.
    #[error("no key could be made")]
    Generate,
    /// Not a note.
    #[error("it is no signed note: a text, an empty line, and signatures")]
    Form,
    /// Nobody whose key is known signed it.
    #[error("it is not signed by {0}")]
    Unsigned(String),
    /// A signature that is wrong.
    #[error("the signature of {0} is not of this text")]
    Signature(String),
}

/// The key that a note is checked with, written `NAME+HASH+BASE64`.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    key: [u8; 32],
}

impl PublicKey {
    /// Whose it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first bytes of the hash of name and key, by which signatures find it.
    fn id(&self) -> [u8; 4] {
        let hash = Sha256::new()
            .chain_update(self.name.as_bytes())
            .chain_update(b"\n")
            .chain_update([ALGORITHM])
            .chain_update(self.key)
            .finalize();
        [hash[0], hash[1], hash[2], hash[3]]
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id()), with_algorithm(&self.key))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let (name, id, key) = parts(text.trim())?;
        let found = Self { name, key };
        if found.id() == id { Ok(found) } else { Err(NoteError::Key) }
    }
}

/// The key that notes are signed with.
pub struct SigningKey {
    seed: [u8; 32],
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl SigningKey {
    /// A new one.
    pub fn generate(name: &str) -> Result<Self, NoteError> {
        let mut seed = [0; 32];
        SystemRandom::new().fill(&mut seed).map_err(|_| NoteError::Generate)?;
        Self::of(name.to_owned(), seed)
    }

    fn of(name: String, seed: [u8; 32]) -> Result<Self, NoteError> {
        if !is_name(&name) {
            return Err(NoteError::Name(name));
        }
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| NoteError::Key)?;
        let key = pair.public_key().as_ref().try_into().map_err(|_| NoteError::Key)?;
        Ok(Self { seed, pair, public: PublicKey { name, key } })
    }

    /// What others check with.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The text of a file that keeps it: whoever has it can sign.
    pub fn to_text(&self) -> String {
        let Self { public, seed, .. } = self;
        format!("{PRIVATE}{}+{}+{}", public.name, hex::encode(public.id()), with_algorithm(seed))
    }
}

impl FromStr for SigningKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let rest = text.trim().strip_prefix(PRIVATE).ok_or(NoteError::Key)?;
        let (name, id, seed) = parts(rest)?;
        let found = Self::of(name, seed)?;
        if found.public.id() == id { Ok(found) } else { Err(NoteError::Key) }
    }
}

/// Signs a text, which ends with its last line.
pub fn sign(text: &str, key: &SigningKey) -> String {
    let mut bytes = key.public.id().to_vec();
    bytes.extend_from_slice(key.pair.sign(text.as_bytes()).as_ref());
    format!("{text}\n{MARK}{} {}\n", key.public.name, BASE64_STANDARD.encode(bytes))
}

/// The text of a note that one of these keys signed. A wrong signature of a known key spoils it, whoever else signed;
/// signatures of others count for nothing.
pub fn open<'a>(note: &'a str, keys: &[PublicKey]) -> Result<&'a str, NoteError> {
    let parting = note.rfind("\n\n").ok_or(NoteError::Form)?;
    let (text, signatures) = (&note[..=parting], &note[parting + 2..]);
    if !note.ends_with('\n') || text.chars().any(|c| c.is_control() && c != '\n') {
        return Err(NoteError::Form);
    }
    let lines: Vec<&str> = signatures.lines().collect();
    if lines.is_empty() || lines.len() > MOST {
        return Err(NoteError::Form);
    }
    let mut is_signed = false;
    for line in lines {
        let (name, signature) =
            line.strip_prefix(MARK).and_then(|rest| rest.split_once(' ')).ok_or(NoteError::Form)?;
        let bytes = BASE64_STANDARD.decode(signature).map_err(|_| NoteError::Form)?;
        let (id, signature) = bytes.split_at_checked(4).ok_or(NoteError::Form)?;
        let Some(key) = keys.iter().find(|key| key.name == name && key.id() == id) else { continue };
        let checked = UnparsedPublicKey::new(&ED25519, &key.key).verify(text.as_bytes(), signature);
        checked.map_err(|_| NoteError::Signature(key.name.clone()))?;
        is_signed = true;
    }
    if is_signed {
        return Ok(text);
    }
    let names: Vec<String> = keys.iter().map(ToString::to_string).collect();
    Err(NoteError::Unsigned(names.join(" or ")))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('+') && !name.chars().any(|c| c.is_whitespace() || c.is_control())
}

/// Name, identifier and bytes of `NAME+HASH+BASE64`.
fn parts(text: &str) -> Result<(String, [u8; 4], [u8; 32]), NoteError> {
    let mut parts = text.splitn(3, '+');
    let mut next = || parts.next().ok_or(NoteError::Key);
    let (name, id, key) = (next()?, next()?, next()?);
    let mut bytes = [0; 4];
    hex::decode_to_slice(id, &mut bytes).map_err(|_| NoteError::Key)?;
    let key = BASE64_STANDARD.decode(key).map_err(|_| NoteError::Key)?;
    match key.split_first() {
        Some((&ALGORITHM, key)) if is_name(name) => {
            Ok((name.to_owned(), bytes, key.try_into().map_err(|_| NoteError::Key)?))
        }
        _ => Err(NoteError::Key),
    }
}

fn with_algorithm(key: &[u8; 32]) -> String {
    let mut bytes = vec![ALGORITHM];
    bytes.extend_from_slice(key);
    BASE64_STANDARD.encode(bytes)
}

//! Keys that sign: Ed25519, or ECDSA over P-256 with SHA-256, in the files that openssl and cosign read.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, ParsedPublicKey,
};
use pem::{EncodeConfig, LineEnding, Pem};
use provenv_definition::Digest;
use serde::Serialize;

/// RFC 5958.
const PRIVATE: &str = "PRIVATE KEY";
/// RFC 5915: how `openssl ecparam -genkey` writes one.
const PRIVATE_EC: &str = "EC PRIVATE KEY";
/// RFC 5280, `SubjectPublicKeyInfo`.
const PUBLIC: &str = "PUBLIC KEY";

/// How a key signs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyType {
    /// Ed25519 (RFC 8032): the same signature each time.
    #[default]
    Ed25519,
    /// ECDSA over P-256 with SHA-256: what cosign makes and every tool knows.
    EcdsaP256,
}

/// A text that is no key we can use.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It is not in PEM at all.
    #[error("it holds no key in PEM")]
    NotPem,
    /// A private key was needed and this is a public one, or the other way round.
    #[error("it holds a {found}, and a {wanted} key is needed")]
    OtherKind {
        /// What stands between its `BEGIN` and `END`, in lower case.
        found: String,
        /// `private` or `public`.
        wanted: &'static str,
    },
    /// It needs a passphrase.
    #[error("it is encrypted")]
    Encrypted,
    /// Another kind of key, or a damaged one.
    #[error("it is neither an Ed25519 key nor an ECDSA key over P-256")]
    Unknown,
    /// The system gave no random numbers.
    #[error("no key could be made")]
    Generate,
}

impl KeyError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotPem | Self::Unknown => Some("`provenv key new` makes one".to_owned()),
            Self::OtherKind { wanted, .. } => Some(format!("give the file with the {wanted} key")),
            Self::Encrypted => {
                Some("decrypt it on its way: `openssl pkey -in FILE | provenv … --key -`".to_owned())
            }
            Self::Generate => None,
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "ecdsa-p256",
        })
    }
}

/// What checks signatures.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    kind: KeyType,
    /// `SubjectPublicKeyInfo`.
    der: Vec<u8>,
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.kind, self.id())
    }
}

impl PublicKey {
    /// How it signs.
    pub fn kind(&self) -> KeyType {
        self.kind
    }

    /// Its name in signatures: sha256 of its `SubjectPublicKeyInfo`, as `openssl pkey -pubin -outform DER | sha256sum`
    /// says it.
    pub fn id(&self) -> Digest {
        Digest::of(&self.der)
    }

    /// As openssl and cosign read it.
    pub fn to_pem(&self) -> String {
        encode(PUBLIC, &self.der)
    }

    /// Whether `signature` is one of `message` by the private half of this.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let parsed = match self.kind {
            KeyType::Ed25519 => ParsedPublicKey::new(&ED25519, &self.der),
            KeyType::EcdsaP256 => ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.der),
        };
        parsed.is_ok_and(|key| key.verify_sig(message, signature).is_ok())
    }

    fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let (kind, parsed) = if let Ok(key) = ParsedPublicKey::new(&ED25519, der) {
            (KeyType::Ed25519, key)
        } else if let Ok(key) = ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, der) {
            (KeyType::EcdsaP256, key)
        } else {
            return Err(KeyError::Unknown);
        };
        // However it was written, there is one name for it.
        let der: PublicKeyX509Der<'_> = parsed.as_der().map_err(|_| KeyError::Unknown)?;
        Ok(Self { kind, der: der.as_ref().to_vec() })
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_der(block(text, &[PUBLIC], "public")?.contents())
    }
}

/// What makes signatures. Nothing shows it: there is no `Debug`.
pub struct SigningKey {
    pair: Pair,
    public: PublicKey,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    EcdsaP256(EcdsaKeyPair),
}

impl SigningKey {
    /// A new key.
    pub fn generate(kind: KeyType) -> Result<Self, KeyError> {
        Self::of(match kind {
            KeyType::Ed25519 => Pair::Ed25519(Ed25519KeyPair::generate().map_err(|_| KeyError::Generate)?),
            KeyType::EcdsaP256 => Pair::EcdsaP256(
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|_| KeyError::Generate)?,
            ),
        })
    }

    fn of(pair: Pair) -> Result<Self, KeyError> {
        let public = match &pair {
            Pair::Ed25519(pair) => pair.public_key().as_der(),
            Pair::EcdsaP256(pair) => pair.public_key().as_der(),
        };
        let public: PublicKeyX509Der<'_> = public.map_err(|_| KeyError::Unknown)?;
        Ok(Self { public: PublicKey::from_der(public.as_ref())?, pair })
    }

    /// Its other half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The private key as openssl reads it: PKCS#8 in PEM, not encrypted.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        let der = match &self.pair {
            Pair::Ed25519(pair) => pair.to_pkcs8v1(),
            Pair::EcdsaP256(pair) => pair.to_pkcs8v1(),
        };
        Ok(encode(PRIVATE, der.map_err(|_| KeyError::Generate)?.as_ref()))
    }

    /// A signature of `message`: 64 bytes of Ed25519, or ECDSA's two numbers in ASN.1.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        match &self.pair {
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::EcdsaP256(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message).map_err(|_| KeyError::Generate)?;
                Ok(signature.as_ref().to_vec())
            }
        }
    }
}

impl FromStr for SigningKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let block = block(text, &[PRIVATE, PRIVATE_EC], "private")?;
        let der = block.contents();
        if block.tag() == PRIVATE
            && let Ok(pair) = Ed25519KeyPair::from_pkcs8(der)
        {
            return Self::of(Pair::Ed25519(pair));
        }
        let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, der);
        Self::of(Pair::EcdsaP256(pair.map_err(|_| KeyError::Unknown)?))
    }
}

fn encode(tag: &str, der: &[u8]) -> String {
    pem::encode_config(&Pem::new(tag, der), EncodeConfig::new().set_line_ending(LineEnding::LF))
}

/// The block of `text` that is a key. Parameters of a curve may stand before it.
fn block(text: &str, tags: &[&str], wanted: &'static str) -> Result<Pem, KeyError> {
    let blocks = pem::parse_many(text).map_err(|_| KeyError::NotPem)?;
    let encrypted =
        |block: &Pem| block.tag().starts_with("ENCRYPTED ") || block.headers().iter().next().is_some();
    if let Some(found) = blocks.iter().find(|block| tags.contains(&block.tag())) {
        return if encrypted(found) { Err(KeyError::Encrypted) } else { Ok(found.clone()) };
    }
    match blocks.first() {
        None => Err(KeyError::NotPem),
        Some(other) if encrypted(other) && wanted == "private" => Err(KeyError::Encrypted),
        Some(other) => Err(KeyError::OtherKind { found: other.tag().to_lowercase(), wanted }),
    }
}

#[cfg(test)]
mod tests {
    use super::{KeyError, KeyType, PublicKey, SigningKey};

    #[test]
    fn a_key_reads_what_it_wrote_and_refuses_what_another_signed() {
        for kind in [KeyType::Ed25519, KeyType::EcdsaP256] {
            let key = SigningKey::generate(kind).unwrap();
            let again: SigningKey = key.to_pem().unwrap().parse().unwrap();
            assert_eq!(again.public(), key.public());
            let public: PublicKey = key.public().to_pem().parse().unwrap();
            assert_eq!((public.kind(), public.id()), (kind, key.public().id()));
            let signature = again.sign(b"tea").unwrap();
            assert!(public.verifies(b"tea", &signature));
            assert!(!public.verifies(b"te", &signature) && !public.verifies(b"tea", &signature[1..]));
            for other in [KeyType::Ed25519, KeyType::EcdsaP256] {
                assert!(!SigningKey::generate(other).unwrap().public().verifies(b"tea", &signature));
            }
        }
    }

    #[test]
    fn what_is_no_key_says_what_it_is() {
        let key = SigningKey::generate(KeyType::Ed25519).unwrap();
        let public = key.public().to_pem();
        assert!(matches!(public.parse::<SigningKey>(), Err(KeyError::OtherKind { wanted: "private", .. })));
        let private = key.to_pem().unwrap();
        assert!(matches!(private.parse::<PublicKey>(), Err(KeyError::OtherKind { wanted: "public", .. })));
        assert!(matches!("tea".parse::<PublicKey>(), Err(KeyError::NotPem)));
        let encrypted = private.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        assert!(matches!(encrypted.parse::<SigningKey>(), Err(KeyError::Encrypted)));
        let broken = public.replacen("MC", "MB", 1);
        assert!(matches!(broken.parse::<PublicKey>(), Err(KeyError::Unknown)));
    }
}

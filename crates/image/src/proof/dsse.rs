//! The Dead Simple Signing Envelope, version 1: a payload, what it is, and signatures of both.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use serde::{Deserialize, Serialize};

use super::key::{KeyError, PublicKey, SigningKey};

/// The envelope's media type.
pub const ENVELOPE_TYPE: &str = "application/vnd.dsse.envelope.v1+json";

/// A payload with its signatures, in the order of fields that the specification's example has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    payload_type: String,
    /// In base64.
    payload: String,
    signatures: Vec<Signature>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Signature {
    /// A hint on the key, which proves nothing.
    #[serde(default)]
    keyid: String,
    /// In base64.
    sig: String,
}

/// Why an envelope is not believed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// It does not read.
    #[error("it is not a DSSE envelope: {0}")]
    Malformed(String),
    /// None of the keys signed it.
    #[error("it is signed by {}, and none of the keys verifies it", signers(.0))]
    Untrusted(Vec<String>),
}

fn signers(keys: &[String]) -> String {
    let named: Vec<&str> =
        keys.iter().map(|key| if key.is_empty() { "a key without a name" } else { key }).collect();
    if named.is_empty() { "nobody".to_owned() } else { named.join(" and ") }
}

/// The bytes that are signed: `DSSEv1`, then type and payload, each after its length, with spaces between
/// (pre-authentication encoding, `protocol.md` of the specification).
pub fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

impl Envelope {
    /// `payload` signed by `key`.
    pub fn sign(key: &SigningKey, payload_type: &str, payload: &[u8]) -> Result<Self, KeyError> {
        let signature = key.sign(&pre_authentication_encoding(payload_type, payload))?;
        Ok(Self {
            payload_type: payload_type.to_owned(),
            payload: BASE64_STANDARD.encode(payload),
            signatures: vec![Signature {
                keyid: key.public().id().to_string(),
                sig: BASE64_STANDARD.encode(signature),
            }],
        })
    }

    /// As it is kept: JSON on one line.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an envelope is plain data")
    }

    /// Reads an envelope of anybody's.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        serde_json::from_slice(bytes).map_err(|error| EnvelopeError::Malformed(error.to_string()))
    }

    /// What the payload is said to be. Signed with it.
    pub fn payload_type(&self) -> &str {
        &self.payload_type
    }

    /// The payload. Nobody has checked it.
    pub fn unverified_payload(&self) -> Result<Vec<u8>, EnvelopeError> {
        decode(&self.payload)
    }

    /// The payload, and which of `keys` signed it.
    pub fn verify<'a>(&self, keys: &'a [PublicKey]) -> Result<(Vec<u8>, &'a PublicKey), EnvelopeError> {
        let payload = self.unverified_payload()?;
        let signed = pre_authentication_encoding(&self.payload_type, &payload);
        for signature in &self.signatures {
            let Ok(bytes) = decode(&signature.sig) else { continue };
            // The hint is not asked: every key that is trusted is tried.
            if let Some(key) = keys.iter().find(|key| key.verifies(&signed, &bytes)) {
                return Ok((payload, key));
            }
        }
        Err(EnvelopeError::Untrusted(
            self.signatures.iter().map(|signature| signature.keyid.clone()).collect(),
        ))
    }
}

/// Either of the two alphabets, as the specification has it.
fn decode(text: &str) -> Result<Vec<u8>, EnvelopeError> {
    BASE64_STANDARD
        .decode(text)
        .or_else(|_| BASE64_URL_SAFE.decode(text))
        .map_err(|error| EnvelopeError::Malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::{Envelope, EnvelopeError, pre_authentication_encoding};
    use crate::proof::key::{KeyType, SigningKey};

    /// The test vector of `protocol.md`.
    #[test]
    fn what_is_signed_is_what_the_specification_says() {
        let bytes = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
        assert_eq!(bytes, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
        assert_eq!(pre_authentication_encoding("é", b""), "DSSEv1 2 é 0 ".as_bytes());
    }

    #[test]
    fn payload_type_and_payload_are_both_signed() {
        let key = SigningKey::generate(KeyType::Ed25519).unwrap();
        let keys = [key.public().clone()];
        let envelope = Envelope::sign(&key, "text/plain", b"tea").unwrap();
        let read = Envelope::from_bytes(&envelope.to_bytes()).unwrap();
        assert_eq!(read.verify(&keys).unwrap(), (b"tea".to_vec(), &keys[0]));
        let other = SigningKey::generate(KeyType::EcdsaP256).unwrap().public().clone();
        assert!(matches!(read.verify(&[other]), Err(EnvelopeError::Untrusted(_))));
        for (from, to) in [("text/plain", "text/plaim"), ("dGVh", "dGVi"), ("\"sig\":\"", "\"sig\":\"AA")] {
            let text = String::from_utf8(envelope.to_bytes()).unwrap();
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            assert!(Envelope::from_bytes(changed.as_bytes()).unwrap().verify(&keys).is_err(), "{changed}");
        }
    }

    #[test]
    fn either_alphabet_of_base64_is_read() {
        let key = SigningKey::generate(KeyType::Ed25519).unwrap();
        let envelope = Envelope::sign(&key, "text/plain", &[0xfb, 0xff, 0xfe]).unwrap();
        let text = String::from_utf8(envelope.to_bytes()).unwrap().replace('+', "-");
        let safe = text.replace("-//", "-__").replace("text/plain", "text\\u002fplain");
        let safe = safe.replace("//", "__");
        let read = Envelope::from_bytes(safe.as_bytes()).unwrap();
        assert_eq!(read.unverified_payload().unwrap(), [0xfb, 0xff, 0xfe]);
    }
}

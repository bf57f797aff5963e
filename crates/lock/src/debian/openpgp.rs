//! Who signed: OpenPGP signatures (RFC 9580) against the keys that the host trusts.
//!
//! The mathematics is rPGP's; which key may speak is decided here, as rPGP leaves that to its caller: a key needs a
//! valid self-signature, a subkey a valid binding with its back signature, both the right to sign; expired and revoked
//! keys are refused, whatever the date of the signature, and so are MD5, SHA-1 and RIPEMD-160.

use pgp::composed::{Deserializable as _, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::types::{Duration, KeyDetails as _, Tag, Timestamp};

use super::signed::armoured_blocks;

/// A clock may be wrong by this many seconds.
const CLOCK_SKEW: u32 = 600;

/// Why no signature is good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It cannot be read.
    #[error("the signature cannot be read: {0}")]
    Malformed(String),
    /// Nobody known has signed.
    #[error("it is signed by {}, which no keyring at hand holds", keys(.0))]
    UnknownKey(Vec<String>),
    /// The bytes are not those that were signed.
    #[error("the signature by key {0} does not fit the text")]
    Bad(String),
    /// The key's time is over.
    #[error("key {0}, which signed it, has expired")]
    ExpiredKey(String),
    /// The key's owner has taken it back.
    #[error("key {0}, which signed it, is revoked")]
    RevokedKey(String),
    /// The key has no right to sign.
    #[error("key {0}, which signed it, is not bound to sign")]
    UnfitKey(String),
    /// The signature's own time is over, or has not begun.
    #[error("the signature by key {0} is not valid at this time")]
    Untimely(String),
    /// A hash that can be forged.
    #[error("the signature by key {key} uses {hash}, which can be forged")]
    WeakHash {
        /// The key.
        key: String,
        /// The hash.
        hash: String,
    },
}

fn keys(ids: &[String]) -> String {
    match ids {
        [] => "an unnamed key".to_owned(),
        [id] => format!("key {id}"),
        ids => format!("keys {}", ids.join(", ")),
    }
}

/// Keys that may sign for an archive.
#[derive(Clone, Debug, Default)]
pub(super) struct Keyring(Vec<SignedPublicKey>);

impl Keyring {
    /// Reads a keyring, binary or in armour.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut keys = Vec::new();
        if bytes.trim_ascii_start().starts_with(b"-----BEGIN") {
            // A file may hold several armoured blocks one after the other.
            let text = str::from_utf8(bytes).map_err(|error| error.to_string())?;
            for block in armoured_blocks(text) {
                let (parsed, _) =
                    SignedPublicKey::from_string_many(block).map_err(|error| error.to_string())?;
                keys.extend(parsed.flatten());
            }
        } else {
            let parsed = SignedPublicKey::from_bytes_many(bytes).map_err(|error| error.to_string())?;
            // A key of a kind that rPGP does not know cannot verify anything; the others still can.
            keys.extend(parsed.flatten());
        }
        if keys.is_empty() { Err("it holds no OpenPGP key".to_owned()) } else { Ok(Self(keys)) }
    }

    /// Adds the keys of `other`.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Leaves only keys with one of these fingerprints, of the key itself or of a subkey.
    pub fn retain_fingerprints(&mut self, wanted: &[String]) {
        self.0.retain(|key| {
            let mut fingerprints = std::iter::once(key.fingerprint().to_string())
                .chain(key.public_subkeys.iter().map(|subkey| subkey.key.fingerprint().to_string()));
            fingerprints.any(|found| wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(&found)))
        });
    }

    /// Whether any of `signatures` over `content` is good at `now`; if so, until when, as far as its key and itself say.
    pub fn verify(
        &self,
        signatures: &[Signature],
        content: &[u8],
        now: Timestamp,
    ) -> Result<Timestamp, SignatureError> {
        let mut worst = None;
        let mut unknown = Vec::new();
        for signature in signatures {
            match self.verify_one(signature, content, now) {
                Ok(until) => return Ok(until),
                Err(SignatureError::UnknownKey(ids)) => unknown.extend(ids),
                Err(error) => worst = worst.or(Some(error)),
            }
        }
        Err(worst.unwrap_or(SignatureError::UnknownKey(unknown)))
    }

    fn verify_one(
        &self,
        signature: &Signature,
        content: &[u8],
        now: Timestamp,
    ) -> Result<Timestamp, SignatureError> {
        let mut outcome = Err(SignatureError::UnknownKey(vec![issuer(signature)]));
        for key in &self.0 {
            if issued_by(signature, key) {
                outcome = check_primary(key, now)
                    .and_then(|(until, may_sign)| if may_sign { Ok(until) } else { Err(Unfit::NotBound) })
                    .map_err(|unfit| unfit.with(&id(key)))
                    .and_then(|until| Ok(until.min(check(signature, key, content, now)?)));
            }
            for subkey in &key.public_subkeys {
                if issued_by(signature, &subkey.key) {
                    outcome = check_primary(key, now)
                        .and_then(|(until, _)| Ok(until.min(check_subkey(key, subkey, now)?)))
                        .map_err(|unfit| unfit.with(&id(&subkey.key)))
                        .and_then(|until| Ok(until.min(check(signature, &subkey.key, content, now)?)));
                }
            }
            // The same key may be in several files, one of them newer than the other.
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }
}

/// Why a key may not speak.
enum Unfit {
    NotBound,
    Expired,
    Revoked,
}

impl Unfit {
    fn with(self, key: &str) -> SignatureError {
        match self {
            Self::NotBound => SignatureError::UnfitKey(key.to_owned()),
            Self::Expired => SignatureError::ExpiredKey(key.to_owned()),
            Self::Revoked => SignatureError::RevokedKey(key.to_owned()),
        }
    }
}

/// Until when `key` stands, and whether it may sign itself, by its newest valid self-signature.
fn check_primary(key: &SignedPublicKey, now: Timestamp) -> Result<(Timestamp, bool), Unfit> {
    let primary = &key.primary_key;
    if key.details.revocation_signatures.iter().any(|signature| signature.verify_key(primary).is_ok()) {
        return Err(Unfit::Revoked);
    }
    let of_users = key.details.users.iter().flat_map(|user| {
        user.signatures.iter().filter(|signature| {
            signature.typ() != Some(SignatureType::CertRevocation)
                && signature.verify_certification(primary, Tag::UserId, &user.id).is_ok()
        })
    });
    let direct =
        key.details.direct_signatures.iter().filter(|signature| signature.verify_key(primary).is_ok());
    let newest = of_users
        .chain(direct)
        .filter(|signature| weak_hash(signature).is_none())
        .max_by_key(|signature| signature.created())
        .ok_or(Unfit::NotBound)?;
    // A self-signature without flags leaves the key all it can do, as older ones do.
    let flags = newest.key_flags();
    let may_sign = flags.sign() || flags == pgp::packet::KeyFlags::default();
    Ok((in_time(primary.created_at(), newest, now)?, may_sign))
}

/// Until when `subkey` may sign for `key`.
fn check_subkey(
    key: &SignedPublicKey,
    subkey: &SignedPublicSubKey,
    now: Timestamp,
) -> Result<Timestamp, Unfit> {
    let valid: Vec<&Signature> = subkey
        .signatures
        .iter()
        .filter(|signature| {
            weak_hash(signature).is_none()
                && signature.verify_subkey_binding(&key.primary_key, &subkey.key).is_ok()
        })
        .collect();
    if valid.iter().any(|signature| signature.typ() == Some(SignatureType::SubkeyRevocation)) {
        return Err(Unfit::Revoked);
    }
    let newest = valid.into_iter().max_by_key(|signature| signature.created()).ok_or(Unfit::NotBound)?;
    let bound_back = newest
        .embedded_signature()
        .is_some_and(|back| back.verify_primary_key_binding(&subkey.key, &key.primary_key).is_ok());
    if !newest.key_flags().sign() || !bound_back {
        return Err(Unfit::NotBound);
    }
    in_time(subkey.key.created_at(), newest, now)
}

fn in_time(created: Timestamp, binding: &Signature, now: Timestamp) -> Result<Timestamp, Unfit> {
    let until = end(created, binding.key_expiration_time());
    if until < now { Err(Unfit::Expired) } else { Ok(until) }
}

/// When what was `created` ends; a lifetime of 0 or none is for ever.
fn end(created: Timestamp, lifetime: Option<Duration>) -> Timestamp {
    match lifetime.map_or(0, Duration::as_secs) {
        0 => Timestamp::from_secs(u32::MAX),
        lifetime => Timestamp::from_secs(created.as_secs().saturating_add(lifetime)),
    }
}

fn check(
    signature: &Signature,
    key: &impl pgp::types::VerifyingKey,
    content: &[u8],
    now: Timestamp,
) -> Result<Timestamp, SignatureError> {
    let id = id(key);
    if let Some(hash) = weak_hash(signature) {
        return Err(SignatureError::WeakHash { key: id, hash });
    }
    if !matches!(signature.typ(), Some(SignatureType::Binary | SignatureType::Text)) {
        return Err(SignatureError::Bad(id));
    }
    let created = signature.created().unwrap_or_default();
    let until = end(created, signature.signature_expiration_time());
    let from = created.as_secs().saturating_sub(CLOCK_SKEW);
    if from > now.as_secs() || created < key.created_at() || until < now {
        return Err(SignatureError::Untimely(id));
    }
    signature.verify(key, content).map_err(|_| SignatureError::Bad(id))?;
    Ok(until)
}

fn weak_hash(signature: &Signature) -> Option<String> {
    match signature.hash_alg() {
        Some(
            HashAlgorithm::Sha256
            | HashAlgorithm::Sha384
            | HashAlgorithm::Sha512
            | HashAlgorithm::Sha3_256
            | HashAlgorithm::Sha3_512,
        ) => None,
        Some(other) => Some(other.to_string()),
        None => Some("an unknown hash".to_owned()),
    }
}

fn id(key: &impl pgp::types::KeyDetails) -> String {
    key.legacy_key_id().to_string().to_uppercase()
}

fn issuer(signature: &Signature) -> String {
    match (signature.issuer_fingerprint().first(), signature.issuer_key_id().first()) {
        (Some(fingerprint), _) => fingerprint.to_string().to_uppercase(),
        (None, Some(id)) => id.to_string().to_uppercase(),
        (None, None) => "an unnamed key".to_owned(),
    }
}

fn issued_by(signature: &Signature, key: &impl pgp::types::KeyDetails) -> bool {
    let fingerprints = signature.issuer_fingerprint();
    if fingerprints.is_empty() {
        signature.issuer_key_id().iter().any(|id| **id == key.legacy_key_id())
    } else {
        fingerprints.iter().any(|fingerprint| **fingerprint == key.fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use provenv_testing::debian::{Hash, Key, Lifetime};

    use super::super::signed::{read_cleartext, read_detached};
    use super::*;

    fn verify_with(keyring: &[u8], message: &str) -> Result<String, SignatureError> {
        let signed = read_cleartext(message)?;
        Keyring::parse(keyring).unwrap().verify(
            &signed.signatures,
            signed.text.as_bytes(),
            Timestamp::now(),
        )?;
        Ok(signed.text)
    }

    const TEXT: &str = "\n- dashed\n-----BEGIN\nblanks\n\nlast: line\n";

    #[test]
    fn a_changed_text_is_found_out() {
        let key = Key::generate();
        let message = key.sign_cleartext(TEXT, Hash::Sha256).replace("last", "lost");
        assert!(matches!(verify_with(&key.public(), &message), Err(SignatureError::Bad(_))));
    }

    #[test]
    fn a_key_that_is_not_at_hand_is_named() {
        let (ours, theirs) = (Key::generate(), Key::with_subkey());
        let message = theirs.sign_cleartext(TEXT, Hash::Sha256);
        let error = verify_with(&ours.public(), &message).unwrap_err();
        assert_eq!(error, SignatureError::UnknownKey(vec![theirs.fingerprint()]));
        let mut both = ours.public();
        both.extend(theirs.public());
        assert!(verify_with(&both, &message).is_ok());
        let armoured = format!("{}\n{}", ours.armoured(), theirs.armoured());
        assert!(verify_with(armoured.as_bytes(), &message).is_ok());
    }

    #[test]
    fn expired_and_revoked_keys_and_weak_hashes_are_refused() {
        let expired = Key::in_state(Lifetime::Expired);
        let message = expired.sign_cleartext(TEXT, Hash::Sha256);
        assert!(matches!(verify_with(&expired.public(), &message), Err(SignatureError::ExpiredKey(_))));
        let revoked = Key::in_state(Lifetime::Revoked);
        let message = revoked.sign_cleartext(TEXT, Hash::Sha256);
        assert!(matches!(verify_with(&revoked.public(), &message), Err(SignatureError::RevokedKey(_))));
        let key = Key::rsa();
        assert!(verify_with(&key.public(), &key.sign_cleartext(TEXT, Hash::Sha256)).is_ok());
        let message = key.sign_cleartext(TEXT, Hash::Sha1);
        assert!(matches!(verify_with(&key.public(), &message), Err(SignatureError::WeakHash { .. })));
    }

    #[test]
    fn detached_signatures_are_read_in_armour() {
        let (key, other) = (Key::generate(), Key::generate());
        let two = format!("{}{}", other.sign_detached(b"text"), key.sign_detached(b"text"));
        let signatures = read_detached(two.as_bytes()).unwrap();
        assert_eq!(signatures.len(), 2);
        let keyring = Keyring::parse(&key.public()).unwrap();
        assert_eq!(
            keyring.verify(&signatures, b"text", Timestamp::now()),
            Ok(Timestamp::from_secs(u32::MAX))
        );
        assert!(keyring.verify(&signatures, b"other", Timestamp::now()).is_err());
        assert!(read_detached(b"").is_err());
        assert!(read_detached(b"\x00\x01\x02").is_err());
    }

    #[test]
    fn only_keys_with_the_fingerprints_given_are_left() {
        let (ours, theirs) = (Key::with_subkey(), Key::generate());
        let mut keyring = Keyring::parse(&[ours.public(), theirs.public()].concat()).unwrap();
        keyring.retain_fingerprints(&[ours.fingerprint().to_lowercase()]);
        let signatures = |key: &Key| read_detached(key.sign_detached(b"text").as_bytes()).unwrap();
        assert!(keyring.verify(&signatures(&ours), b"text", Timestamp::now()).is_ok());
        assert!(keyring.verify(&signatures(&theirs), b"text", Timestamp::now()).is_err());
    }
}

//! OpenPGP keys that sign test archives, in good and bad states.

use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, DetachedSignature, KeyType, SecretKeyParamsBuilder,
    SignedPublicKey, SignedSecretKey, SubkeyParamsBuilder,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::ser::Serialize as _;
use pgp::types::{Duration, KeyDetails as _, Password, Tag, Timestamp};

/// Where a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// It may be used.
    Good,
    /// Its time is over.
    Expired,
    /// Its owner took it back.
    Revoked,
}

/// The hash of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// What is used today.
    Sha256,
    /// What can be forged.
    Sha1,
}

/// A key that signs, made for one test.
#[derive(Clone, Debug)]
pub struct Key {
    secret: SignedSecretKey,
    public: SignedPublicKey,
    by_subkey: bool,
}

impl Key {
    /// A good key.
    pub fn generate() -> Self {
        Self::make(KeyType::Ed25519Legacy, Lifetime::Good, false)
    }

    /// A good RSA key: slow to make, and the only kind that can be talked into [`Hash::Sha1`].
    pub fn rsa() -> Self {
        Self::make(KeyType::Rsa(2048), Lifetime::Good, false)
    }

    /// A good key whose subkey signs, as Debian's do.
    pub fn with_subkey() -> Self {
        Self::make(KeyType::Ed25519Legacy, Lifetime::Good, true)
    }

    /// A key in this state.
    pub fn in_state(lifetime: Lifetime) -> Self {
        Self::make(KeyType::Ed25519Legacy, lifetime, false)
    }

    fn make(kind: KeyType, lifetime: Lifetime, by_subkey: bool) -> Self {
        let created = Timestamp::from_secs(1_600_000_000);
        let mut params = SecretKeyParamsBuilder::default();
        params
            .key_type(kind)
            .can_certify(true)
            .can_sign(!by_subkey)
            .created_at(created)
            .primary_user_id("Test Archive <archive@example.invalid>".to_owned());
        if by_subkey {
            let subkey = SubkeyParamsBuilder::default()
                .key_type(KeyType::Ed25519Legacy)
                .can_sign(true)
                .created_at(created)
                .build()
                .expect("the parameters are complete");
            params.subkeys(vec![subkey]);
        }
        let params = params.build().expect("the parameters are complete");
        let secret = params.generate(rand::thread_rng()).expect("a key can be made");
        let mut public = secret.to_public_key();
        match lifetime {
            Lifetime::Good => {}
            Lifetime::Expired => {
                let user = &mut public.details.users[0];
                let mut config = config(&secret, SignatureType::CertPositive);
                let year = Duration::from_secs(365 * 24 * 3600);
                config.hashed_subpackets.push(regular(SubpacketData::KeyExpirationTime(year)));
                user.signatures = vec![
                    config
                        .sign_certification(
                            &secret.primary_key,
                            &public.primary_key,
                            &Password::empty(),
                            Tag::UserId,
                            &user.id,
                        )
                        .expect("a key can certify itself"),
                ];
            }
            Lifetime::Revoked => {
                let revocation = config(&secret, SignatureType::KeyRevocation)
                    .sign_key(&secret.primary_key, &Password::empty(), &public.primary_key)
                    .expect("a key can revoke itself");
                public.details.revocation_signatures.push(revocation);
            }
        }
        Self { secret, public, by_subkey }
    }

    /// The public key in binary form, as a keyring holds it.
    pub fn public(&self) -> Vec<u8> {
        self.public.to_bytes().expect("a key can be written")
    }

    /// The public key in armour.
    pub fn armoured(&self) -> String {
        self.public.to_armored_string(ArmorOptions::default()).expect("a key can be written")
    }

    /// The fingerprint of the key that signs, in upper-case hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        if self.by_subkey {
            self.secret.secret_subkeys[0].key.fingerprint().to_string().to_uppercase()
        } else {
            self.secret.primary_key.fingerprint().to_string().to_uppercase()
        }
    }

    /// `text`, which has no blanks at the ends of its lines, as a cleartext-signed message.
    pub fn sign_cleartext(&self, text: &str, hash: Hash) -> String {
        let message = if self.by_subkey {
            let subkey = &self.secret.secret_subkeys[0].key;
            CleartextSignedMessage::sign(rand::thread_rng(), text, subkey, &Password::empty())
        } else {
            let mut config = config(&self.secret, SignatureType::Text);
            if hash == Hash::Sha1 {
                config.hash_alg = HashAlgorithm::Sha1;
            }
            CleartextSignedMessage::new(text, config, &self.secret.primary_key, &Password::empty())
        };
        message
            .and_then(|message| message.to_armored_string(ArmorOptions::default()))
            .expect("a text can be signed")
    }

    /// A detached signature of `bytes`, in armour.
    pub fn sign_detached(&self, bytes: &[u8]) -> String {
        let (random, password, hash) = (rand::thread_rng(), Password::empty(), HashAlgorithm::Sha256);
        let signature = if self.by_subkey {
            let subkey = &self.secret.secret_subkeys[0].key;
            DetachedSignature::sign_binary_data(random, subkey, &password, hash, bytes)
        } else {
            DetachedSignature::sign_binary_data(random, &self.secret.primary_key, &password, hash, bytes)
        };
        signature
            .and_then(|signature| signature.to_armored_string(ArmorOptions::default()))
            .expect("bytes can be signed")
    }
}

fn config(secret: &SignedSecretKey, kind: SignatureType) -> SignatureConfig {
    let key = &secret.primary_key;
    let mut config = SignatureConfig::v4(kind, key.algorithm(), HashAlgorithm::Sha256);
    config.hashed_subpackets = vec![
        regular(SubpacketData::SignatureCreationTime(Timestamp::now())),
        regular(SubpacketData::IssuerFingerprint(key.fingerprint())),
    ];
    config.unhashed_subpackets = vec![regular(SubpacketData::IssuerKeyId(key.legacy_key_id()))];
    config
}

fn regular(data: SubpacketData) -> Subpacket {
    Subpacket::regular(data).expect("the data fit")
}

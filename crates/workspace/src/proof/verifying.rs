//! An image is held against its signatures, its provenance, a policy, and itself made again.

use std::path::{Path, PathBuf};

use provenv_definition::{Definition, Digest, Platform};
use provenv_image::oci::Image;
use provenv_image::proof::provenance::{DEFINITION_TYPE, LOCK_TYPE};
use provenv_image::proof::statement::{PAYLOAD_TYPE, PREDICATE_TYPE, STATEMENT_TYPE};
use provenv_image::proof::{Envelope, PublicKey, Statement, TakenFrom, dsse};
use provenv_lock::Lock;
use serde::Serialize;

use super::ProofError;
use super::evidence::Evidence;
use super::place::ImagePlace;
use super::policy::Policy;
use crate::building::Assembling;
use crate::{Error, Result, Workspace};

/// How an image is checked.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// Public keys: files, or names in this workspace. Without any, those of the policy, and else all of this workspace.
    pub keys: Vec<String>,
    /// The policy's file.
    pub policy: Option<PathBuf>,
    /// Make it again from its lock and compare. Alone it needs no signature.
    pub rebuild: bool,
    /// Speak plain http with registries.
    pub insecure: bool,
}

/// What came of checking an image.
#[derive(Clone, Debug, Serialize)]
pub struct Verified {
    /// The image.
    pub image: Digest,
    /// What it runs on.
    pub platform: Platform,
    /// Whether no check failed.
    pub verified: bool,
    /// The key whose signature counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Digest>,
    /// Who built it, as far as the signature is good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub builder: Option<String>,
    /// The lock it was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock: Option<Digest>,
    /// The receipt that the signature stands for.
    #[serde(skip)]
    pub(crate) receipt: Option<Digest>,
    /// Where the lock was taken from, where who built did not resolve it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock_taken_from: Option<TakenFrom>,
    /// What was checked, in order.
    pub checks: Vec<Check>,
}

/// What an image must be.
struct Asked {
    keys: Vec<PublicKey>,
    policy: Policy,
    /// Whether somebody must have signed.
    signed: bool,
}

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Which.
    pub name: &'static str,
    /// What came of it.
    pub outcome: Outcome,
    /// Why, in words.
    pub detail: String,
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is as it should be.
    Passed,
    /// It is not.
    Failed,
    /// Nobody asked for it.
    Skipped,
}

impl Check {
    pub(crate) fn of(name: &'static str, good: bool, detail: impl Into<String>) -> Self {
        let outcome = if good { Outcome::Passed } else { Outcome::Failed };
        Self { name, outcome, detail: detail.into() }
    }

    pub(crate) fn failed(name: &'static str, detail: impl Into<String>) -> Self {
        Self::of(name, false, detail)
    }

    fn skipped(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, outcome: Outcome::Skipped, detail: detail.into() }
    }
}

impl Workspace {
    /// Checks the image of an environment, a file or a digest, one in an OCI layout (`oci:DIR[:TAG]`), or one in a registry.
    pub async fn verify(&self, image: &str, folder: &Path, options: &VerifyOptions) -> Result<Verified> {
        let place = ImagePlace::parse(image, folder)?;
        // What is asked for must be sound before anything is fetched.
        let asked = self.asked(options, folder)?;
        let evidence = self.evidence(&place, image, folder, options.insecure).await?;
        self.held(&evidence, image, asked, options.rebuild).await
    }

    /// The same of an image whose evidence has been gathered, and which is called `shown`.
    pub(crate) async fn hold(
        &self,
        evidence: &Evidence,
        shown: &str,
        folder: &Path,
        options: &VerifyOptions,
    ) -> Result<Verified> {
        self.held(evidence, shown, self.asked(options, folder)?, options.rebuild).await
    }

    /// What an image must be by these options.
    fn asked(&self, options: &VerifyOptions, folder: &Path) -> Result<Asked> {
        let policy = options.policy.as_ref().map(|file| Policy::read(&folder.join(file))).transpose()?;
        let signed = !options.rebuild || !options.keys.is_empty() || policy.is_some();
        let (policy, named) = policy.unwrap_or_default();
        let keys = if signed { self.trusted(options, named, folder)? } else { Vec::new() };
        Ok(Asked { keys, policy, signed })
    }

    async fn held(&self, evidence: &Evidence, shown: &str, asked: Asked, rebuild: bool) -> Result<Verified> {
        let Asked { keys, policy, signed } = asked;
        let mut checks = vec![match &evidence.contents {
            Some(Ok(count)) => {
                Check::of("contents", true, format!("all {count} blobs have the digests they should"))
            }
            Some(Err(problem)) => Check::failed("contents", problem.clone()),
            None => Check::skipped("contents", "who pulls it checks every blob by its digest"),
        }];
        let mut believed = None;
        if signed {
            match believe(evidence, &keys) {
                Ok((statement, key)) => {
                    checks.push(Check::of("signature", true, format!("by key {}", self.called(&key.id()))));
                    checks.push(Check::of("subject", true, format!("is about {}", evidence.image)));
                    believed = Some((statement, key));
                }
                Err(check) => checks.push(check),
            }
        } else {
            checks.push(Check::skipped("signature", "--rebuild without a key or a policy needs none"));
        }
        let statement = believed.as_ref().map(|(statement, _)| statement);
        if let Some(statement) = statement {
            checks.extend(self.check_lock_of(evidence, statement).await?);
            checks.extend(self.receipt(statement));
            checks.extend(policy.check(statement, jiff::Timestamp::now()));
        }
        let lock = match statement {
            Some(statement) => statement.lock(),
            None => self.lock_digest(evidence).await?,
        };
        // Nothing is built of a lock that a signature should vouch for and does not.
        if rebuild && (statement.is_some() || !signed) {
            checks.push(self.check_rebuild(evidence, shown, statement, lock).await?);
        } else if rebuild {
            checks.push(Check::skipped("rebuild", "no signature vouches for the lock"));
        }
        Ok(Verified {
            image: evidence.image,
            platform: evidence.platform,
            verified: checks.iter().all(|check| check.outcome != Outcome::Failed),
            key: believed.as_ref().map(|(_, key)| key.id()),
            builder: statement.map(|statement| statement.predicate.run_details.builder.id.clone()),
            lock,
            receipt: statement.and_then(Statement::receipt),
            lock_taken_from: statement.and_then(|statement| {
                statement.predicate.build_definition.external_parameters.lock_taken_from.clone()
            }),
            checks,
        })
    }

    /// The keys that may have signed.
    fn trusted(
        &self,
        options: &VerifyOptions,
        named: Vec<PublicKey>,
        folder: &Path,
    ) -> Result<Vec<PublicKey>> {
        let given =
            options.keys.iter().map(|key| self.public_key(key, folder)).collect::<Result<Vec<_>>>()?;
        let keys = if !given.is_empty() {
            given
        } else if !named.is_empty() {
            named
        } else {
            self.public_keys()?
        };
        if keys.is_empty() { Err(ProofError::NoKeys.into()) } else { Ok(keys) }
    }

    /// Checks that the lock is the one the statement names, and that both name the same artifacts.
    async fn check_lock_of(&self, evidence: &Evidence, statement: &Statement) -> Result<Vec<Check>> {
        let Some(digest) = statement.lock() else {
            return Ok(vec![Check::failed("lock", "the provenance names none")]);
        };
        let Some(lock) = self.lock_with(evidence, &digest).await? else {
            let found = evidence.of_type(LOCK_TYPE).count();
            let what = if found == 0 {
                "it is not attached to the image"
            } else {
                "another is attached to the image"
            };
            return Ok(vec![Check::failed(
                "lock",
                format!("it was made from {digest}: {what}, and this workspace does not have it"),
            )]);
        };
        let platform = statement.predicate.build_definition.external_parameters.platform;
        if platform != evidence.platform {
            let detail = format!(
                "the provenance is of an image for {platform}, and this is for {}",
                evidence.platform
            );
            return Ok(vec![Check::failed("lock", detail)]);
        }
        Ok(match statement.agrees_with(&lock, digest) {
            Ok(count) => vec![
                Check::of("lock", true, format!("is {digest}, of the definition that the provenance holds")),
                Check::of(
                    "artifacts",
                    true,
                    format!("all {count} of the lock, and no others, are in the provenance"),
                ),
            ],
            Err(disagreement) => vec![Check::failed("lock", disagreement.to_string())],
        })
    }

    /// The lock with this digest: of this workspace, or attached to the image.
    async fn lock_with(&self, evidence: &Evidence, digest: &Digest) -> Result<Option<Lock>> {
        if let Some(lock) = self.catalogue.lock(digest).await? {
            return Ok(Some(lock));
        }
        let attached = evidence.of_type(LOCK_TYPE).find(|bytes| Digest::of(bytes) == *digest);
        Ok(attached.and_then(|bytes| Lock::from_bytes(bytes).ok()))
    }

    /// The digest of the lock that the image was made from, as far as this workspace or what is attached says.
    async fn lock_digest(&self, evidence: &Evidence) -> Result<Option<Digest>> {
        let origins = self.catalogue.origins().await?;
        let own = origins.iter().find(|origin| origin.image == evidence.image).map(|origin| origin.lock);
        Ok(own.or_else(|| evidence.of_type(LOCK_TYPE).next().map(Digest::of)))
    }

    /// Makes the image again and says what differs.
    pub(crate) async fn check_rebuild(
        &self,
        evidence: &Evidence,
        shown: &str,
        statement: Option<&Statement>,
        digest: Option<Digest>,
    ) -> Result<Check> {
        let missing = || ProofError::NoLock(shown.to_owned());
        let digest = digest.ok_or_else(missing)?;
        let lock = self.lock_with(evidence, &digest).await?.ok_or_else(missing)?;
        if evidence.platform != Platform::host() {
            return Err(Error::Unsupported(format!(
                "an image for {} cannot be assembled on {}: its Python has to run here to compile modules",
                evidence.platform,
                Platform::host()
            )));
        }
        if let Err(error) = evidence.form.check() {
            return Ok(Check::failed("rebuild", format!("the image is of {}: {error}", evidence.form)));
        }
        let pin = self.store.pin()?;
        if self.catalogue.lock(&digest).await?.is_none() {
            // A stranger's lock is held to what its own definition names, as one in a file is.
            let stated = statement.and_then(|statement| statement.definition().ok());
            let attached = || {
                let mut all = evidence.of_type(DEFINITION_TYPE);
                all.find_map(|bytes| serde_json::from_slice::<Definition>(bytes).ok())
            };
            let definition = stated.or_else(attached).ok_or_else(missing)?;
            self.usable(&definition, &lock, Path::new(shown)).await?;
        }
        let image = self.assemble(&lock, evidence.platform, evidence.form, Assembling::Again).await?;
        drop(pin);
        Ok(compare(evidence, &image))
    }

    /// Who chose what the image is made of, where that was not who signs.
    fn receipt(&self, statement: &Statement) -> Option<Check> {
        let parameters = &statement.predicate.build_definition.external_parameters;
        let TakenFrom { place, signed_by } = parameters.lock_taken_from.as_ref()?;
        Some(match signed_by {
            Some(key) => {
                let key = self.called(key);
                let detail = format!("was taken from {place}, signed by key {key}, which the builder trusts");
                Check::of("receipt", true, detail)
            }
            None => Check::skipped(
                "receipt",
                format!(
                    "was taken from {place}, where nobody had signed it: the builder did not choose the artifacts"
                ),
            ),
        })
    }
}

/// The statement that says where the image comes from and is signed by one of `keys`.
pub(super) fn believe<'a>(
    evidence: &Evidence,
    keys: &'a [PublicKey],
) -> Result<(Statement, &'a PublicKey), Check> {
    let mut best = Check::failed("signature", "nothing that is attached to the image is signed provenance");
    for bytes in evidence.of_type(dsse::ENVELOPE_TYPE) {
        let envelope = match Envelope::from_bytes(bytes) {
            Ok(envelope) if envelope.payload_type() == PAYLOAD_TYPE => envelope,
            Ok(_) => continue,
            Err(error) => {
                best = Check::failed("signature", error.to_string());
                continue;
            }
        };
        let (payload, key) = match envelope.verify(keys) {
            Ok(verified) => verified,
            Err(error) => {
                if best.name == "signature" {
                    best = Check::failed("signature", error.to_string());
                }
                continue;
            }
        };
        // Others attach statements of other kinds, signed by the same key.
        let kind: Kind = serde_json::from_slice(&payload).unwrap_or_default();
        if kind.kind != STATEMENT_TYPE || kind.predicate_type != PREDICATE_TYPE {
            continue;
        }
        match serde_json::from_slice::<Statement>(&payload) {
            Ok(statement) if statement.is_about(&evidence.image) => return Ok((statement, key)),
            Ok(statement) => {
                let about = statement.subject.iter().filter_map(|subject| subject.digest.get("sha256"));
                let about: Vec<&str> = about.map(String::as_str).collect();
                let detail = format!(
                    "the signed provenance is about sha256:{}, not about this image",
                    about.join(", sha256:")
                );
                best = Check::failed("subject", detail);
            }
            Err(error) => best = Check::failed("provenance", format!("it is none of ours: {error}")),
        }
    }
    Err(best)
}

/// What a statement is, whatever else is in it.
#[derive(Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Kind {
    #[serde(rename = "_type")]
    kind: String,
    predicate_type: String,
}

fn compare(evidence: &Evidence, image: &Image) -> Check {
    if image.manifest == evidence.image {
        return Check::of("rebuild", true, "assembled again from the lock: the same, bit for bit");
    }
    let mut differences = Vec::new();
    let (before, now) = (&evidence.manifest.layers, &image.layers);
    for (number, (before, now)) in before.iter().zip(now).enumerate() {
        if before.digest != now.digest {
            differences.push(format!(
                "layer {} ({}) is {} and comes out as {}",
                number + 1,
                now.what,
                before.digest,
                now.digest
            ));
        }
    }
    if before.len() != now.len() {
        differences.push(format!("it has {} layers and comes out with {}", before.len(), now.len()));
    }
    if evidence.manifest.config.digest != image.config && differences.is_empty() {
        differences.push(format!(
            "its layers are the same; its configuration is {} and comes out as {}",
            evidence.manifest.config.digest, image.config
        ));
    }
    if differences.is_empty() {
        differences.push(
            "its layers and its configuration are the same; its manifest is written otherwise".to_owned(),
        );
    }
    Check::failed("rebuild", format!("comes out as {}: {}", image.manifest, differences.join("; ")))
}

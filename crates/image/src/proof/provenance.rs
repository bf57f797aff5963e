//! What is on record becomes a statement, and a statement is held against a lock.

use std::collections::{BTreeMap, BTreeSet};

use provenv_definition::{Definition, Digest, Platform, SafeUrl};
use provenv_lock::{
    Artifact, BaseLock, ContextLock, DockerfileLock, Lock, PlatformLock, PostLink, PypiSource, Receipt,
};

use crate::form::{Form, Packing};

use super::statement::{
    BUILD_TYPE, BuildDefinition, Builder, DOCKERFILE, ExternalParameters, InternalParameters, Metadata,
    PREDICATE_TYPE, Provenance, Resource, RunDetails, STATEMENT_TYPE, StatedDefinition, Statement, TakenFrom,
    digest_set,
};

/// A lock's media type.
pub const LOCK_TYPE: &str = "application/vnd.provenv.lock.v1+json";
/// A definition's media type.
pub const DEFINITION_TYPE: &str = "application/vnd.provenv.definition.v1+json";
/// A receipt's media type.
pub const RECEIPT_TYPE: &str = "application/vnd.provenv.receipt.v1+json";
/// The referrer with the three of them.
pub const RECORD_TYPE: &str = "application/vnd.provenv.record.v1+json";

/// All that is on record of an image.
#[derive(Clone, Copy, Debug)]
pub struct Recorded<'a> {
    /// Digest of its manifest.
    pub image: Digest,
    /// What it runs on.
    pub platform: Platform,
    /// Its form, where that is still known.
    pub form: Option<Form>,
    /// What was asked for.
    pub definition: &'a Definition,
    /// What was chosen.
    pub lock: &'a Lock,
    /// Digest of the lock's bytes.
    pub lock_digest: Digest,
    /// How it was chosen.
    pub receipt: &'a Receipt,
    /// Digest of the receipt's bytes.
    pub receipt_digest: Digest,
    /// Where the receipt was taken from, if it was not written here.
    pub taken_from: Option<&'a TakenFrom>,
    /// Who says so.
    pub builder: &'a str,
}

impl Recorded<'_> {
    /// Its provenance. The same record gives the same bytes.
    pub fn statement(&self) -> Statement {
        let indexes = self.receipt.indexes.iter().map(|index| Resource {
            uri: Some(index.url.to_string()),
            digest: index.sha256.as_ref().map(digest_set).unwrap_or_default(),
            annotations: annotations("index", [("date", index.date.as_deref())]),
            ..Resource::default()
        });
        let lock = Resource {
            name: Some("provenv.lock".to_owned()),
            digest: digest_set(&self.lock_digest),
            media_type: Some(LOCK_TYPE.to_owned()),
            annotations: annotations("lock", []),
            ..Resource::default()
        };
        let chosen = self.lock.platforms.get(&self.platform);
        let artifacts = chosen.map(artifacts).unwrap_or_default();
        let content = serde_json::to_value(self.definition).expect("a definition is plain data");
        Statement {
            kind: STATEMENT_TYPE.to_owned(),
            subject: vec![Resource { digest: digest_set(&self.image), ..Resource::default() }],
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate: Provenance {
                build_definition: BuildDefinition {
                    build_type: BUILD_TYPE.to_owned(),
                    external_parameters: ExternalParameters {
                        definition: StatedDefinition { digest: digest_set(&self.lock.definition), content },
                        platform: self.platform,
                        as_of: self.receipt.as_of,
                        virtual_packages: self.receipt.virtual_packages.clone(),
                        lock_from_file: self.receipt.from_file,
                        lock_taken_from: self.taken_from.cloned(),
                    },
                    internal_parameters: InternalParameters {
                        assembly_epoch: self.form.map(|form| form.epoch),
                        compression: self
                            .form
                            .map(|form| form.packing)
                            .filter(|packing| *packing != Packing::Gzip)
                            .map(|packing| packing.as_str().to_owned()),
                        layers: self.form.and_then(|form| form.layers),
                    },
                    resolved_dependencies: [lock].into_iter().chain(indexes).chain(artifacts).collect(),
                },
                run_details: RunDetails {
                    builder: Builder {
                        id: self.builder.to_owned(),
                        version: self
                            .receipt
                            .tools
                            .iter()
                            .map(|tool| (tool.name.clone(), tool.version.clone()))
                            .collect(),
                    },
                    metadata: Metadata {
                        invocation_id: Some(self.receipt_digest.to_string()),
                        started_on: Some(self.receipt.resolved_at),
                    },
                    byproducts: vec![Resource {
                        name: Some("receipt".to_owned()),
                        digest: digest_set(&self.receipt_digest),
                        media_type: Some(RECEIPT_TYPE.to_owned()),
                        ..Resource::default()
                    }],
                },
            },
        }
    }
}

fn annotations<const N: usize>(kind: &str, more: [(&str, Option<&str>); N]) -> BTreeMap<String, String> {
    let more = more.into_iter().filter_map(|(key, value)| Some((key, value?)));
    [("kind", kind)].into_iter().chain(more).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// What a Dockerfile was run on: the images it begins from, and a build context that was fetched.
fn made_of(made: &DockerfileLock) -> impl Iterator<Item = Resource> {
    let from = made.from.iter().map(|image| Resource {
        name: Some(image.reference.clone()),
        uri: Some(format!("docker://{}", image.pinned())),
        digest: digest_set(&image.manifest),
        annotations: annotations("from", []),
        ..Resource::default()
    });
    let context = made.context.as_ref().map(|context| match context {
        ContextLock::Git { commit } => Resource {
            name: Some("build context".to_owned()),
            digest: [("gitCommit".to_owned(), commit.clone())].into(),
            annotations: annotations("context", []),
            ..Resource::default()
        },
        ContextLock::Archive { sha256, .. } => Resource {
            name: Some("build context".to_owned()),
            digest: digest_set(sha256),
            annotations: annotations("context", []),
            ..Resource::default()
        },
    });
    from.chain(context)
}

/// Every artifact of a platform's lock, in the lock's order.
fn artifacts(lock: &PlatformLock) -> Vec<Resource> {
    let base = match &lock.base {
        BaseLock::Debian { suite } => Resource {
            name: Some(format!("debian:{suite}")),
            uri: Some(format!("urn:provenv:base:debian:{suite}")),
            annotations: annotations("base", []),
            ..Resource::default()
        },
        BaseLock::Image(image) => Resource {
            name: Some(image.reference.clone()),
            uri: Some(format!("docker://{}", image.pinned())),
            digest: digest_set(&image.manifest),
            annotations: annotations("base", []),
            ..Resource::default()
        },
        BaseLock::Dockerfile(made) => Resource {
            name: Some("Dockerfile".to_owned()),
            uri: Some(format!("{DOCKERFILE}{}", made.manifest)),
            digest: digest_set(&made.manifest),
            annotations: annotations("base", []),
            ..Resource::default()
        },
    };
    let mut all = vec![base];
    if let BaseLock::Dockerfile(made) = &lock.base {
        all.extend(made_of(made));
    }
    for package in &lock.debian {
        all.push(published("deb", &package.name, &package.version, &package.artifact));
    }
    for package in &lock.conda {
        let version = format!("{} {}", package.version, package.build);
        all.push(published("conda", &package.name, &version, &package.artifact));
    }
    for package in &lock.pypi {
        match &package.source {
            PypiSource::Wheel(artifact) => {
                all.push(Resource {
                    // The URL of a wheel in a folder, or behind a redirect, may end in anything.
                    name: Some(package.wheel.clone()),
                    ..published("pypi", &package.name, &package.version, artifact)
                });
            }
            PypiSource::Built { sha256, sdist, repository, .. } => {
                all.push(Resource {
                    name: Some(package.wheel.clone()),
                    uri: repository.clone(),
                    digest: digest_set(sha256),
                    annotations: annotations(
                        "built",
                        [
                            ("ecosystem", Some("pypi")),
                            ("package", Some(&package.name)),
                            ("version", Some(&package.version)),
                        ],
                    ),
                    ..Resource::default()
                });
                if let Some(sdist) = sdist {
                    let mut source = published("pypi", &package.name, &package.version, sdist);
                    source.annotations.insert("kind".to_owned(), "source".to_owned());
                    all.push(source);
                }
            }
        }
    }
    if let Some(PostLink::Run { layer: Some(layer) }) = &lock.post_link {
        all.push(Resource {
            name: Some("what scripts of conda packages left".to_owned()),
            digest: digest_set(&layer.sha256),
            annotations: annotations("built", [("ecosystem", Some("conda"))]),
            ..Resource::default()
        });
    }
    all
}

fn published(ecosystem: &str, name: &str, version: &str, artifact: &Artifact) -> Resource {
    let file = |url: &SafeUrl| url.file_name().map(str::to_owned);
    Resource {
        name: file(&artifact.url),
        uri: Some(artifact.url.to_string()),
        digest: digest_set(&artifact.sha256),
        annotations: annotations(
            "artifact",
            [("ecosystem", Some(ecosystem)), ("package", Some(name)), ("version", Some(version))],
        ),
        ..Resource::default()
    }
}

/// In what a statement and what it should be about do not agree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disagreement {
    /// Of another kind of build.
    #[error("its build type is {0}, and only {BUILD_TYPE} is understood")]
    BuildType(String),
    /// The definition in it is not the one that it names.
    #[error("its definition has another digest than it says")]
    Definition,
    /// The lock answers another definition.
    #[error("the lock is of another definition than it says")]
    OtherDefinition,
    /// It names another lock.
    #[error("it is about lock {stated}, and the lock here is {actual}")]
    Lock {
        /// What it names.
        stated: String,
        /// What is here.
        actual: Digest,
    },
    /// The lock has nothing for the platform.
    #[error("the lock has nothing for {0}")]
    Platform(Platform),
    /// The lock has an artifact that it does not name.
    #[error("it does not name {0} of the lock")]
    Missing(String),
    /// It names an artifact that the lock does not have.
    #[error("it names {0}, which is not in the lock")]
    Strange(String),
}

impl Statement {
    /// The definition it names, if that is the one it holds.
    pub fn definition(&self) -> Result<Definition, Disagreement> {
        let build = &self.predicate.build_definition;
        if build.build_type != BUILD_TYPE {
            return Err(Disagreement::BuildType(build.build_type.clone()));
        }
        let stated = &build.external_parameters.definition;
        let definition: Definition =
            serde_json::from_value(stated.content.clone()).map_err(|_| Disagreement::Definition)?;
        if digest_set(&provenv_definition::definition_digest(&definition)) == stated.digest {
            Ok(definition)
        } else {
            Err(Disagreement::Definition)
        }
    }

    /// The digest of the lock it names.
    pub fn lock(&self) -> Option<Digest> {
        let dependencies = &self.predicate.build_definition.resolved_dependencies;
        dependencies.iter().find(|one| one.kind() == Some("lock")).and_then(Resource::sha256)
    }

    /// The receipt that it stands for: which one says when and from what the lock was chosen. None where who built took the
    /// receipt from elsewhere and knows of nobody who signed it.
    pub fn receipt(&self) -> Option<Digest> {
        let taken = self.predicate.build_definition.external_parameters.lock_taken_from.as_ref();
        if taken.is_some_and(|from| from.signed_by.is_none()) {
            return None;
        }
        let byproducts = &self.predicate.run_details.byproducts;
        byproducts.iter().find(|one| one.name.as_deref() == Some("receipt")).and_then(Resource::sha256)
    }

    /// Holds it against the lock with these bytes: digest, definition, every artifact. Gives back how many artifacts there
    /// are.
    pub fn agrees_with(&self, lock: &Lock, digest: Digest) -> Result<usize, Disagreement> {
        let definition = self.definition()?;
        let build = &self.predicate.build_definition;
        if self.lock() != Some(digest) {
            let stated = self.lock().map_or_else(|| "none".to_owned(), |digest| digest.to_string());
            return Err(Disagreement::Lock { stated, actual: digest });
        }
        if lock.definition != provenv_definition::definition_digest(&definition) {
            return Err(Disagreement::OtherDefinition);
        }
        let platform = build.external_parameters.platform;
        let chosen = lock.platforms.get(&platform).ok_or(Disagreement::Platform(platform))?;
        let expected = artifacts(chosen);
        // By what it is said to be too: policies go by that.
        let key = |one: &Resource| (one.kind().map(str::to_owned), one.uri.clone(), one.digest.clone());
        let named = |one: &Resource| {
            let what = one.name.clone().or_else(|| one.uri.clone());
            format!(
                "{} ({})",
                what.unwrap_or_default(),
                one.digest.get("sha256").map_or("no digest", String::as_str)
            )
        };
        let stated =
            || build.resolved_dependencies.iter().filter(|one| !matches!(one.kind(), Some("lock" | "index")));
        let said: BTreeSet<_> = stated().map(key).collect();
        let locked: BTreeSet<_> = expected.iter().map(key).collect();
        if let Some(missing) = expected.iter().find(|one| !said.contains(&key(one))) {
            return Err(Disagreement::Missing(named(missing)));
        }
        if let Some(strange) = stated().find(|one| !locked.contains(&key(one))) {
            return Err(Disagreement::Strange(named(strange)));
        }
        Ok(expected.iter().filter(|one| one.kind() != Some("base")).count())
    }
}

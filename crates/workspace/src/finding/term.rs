//! What is in an environment, as one asks for it: `package:numpy<1.26`, `artifact:sha256:…`, `base:…`, `vulnerability:…`.

use std::str::FromStr;

use provenv_definition::Digest;
use provenv_lock::PackageRange;

use super::like;
use crate::Result;
use crate::catalogue::{ArtifactRow, Catalogue, Condition};

/// One thing that must be so.
#[derive(Clone, Debug)]
pub struct Term {
    what: What,
    /// As it was written: what is sent to a server.
    text: String,
}

#[derive(Clone, Debug)]
enum What {
    /// The name holds this text.
    Name(String),
    /// The lock holds a package in one of these versions.
    Package(PackageRange),
    /// The lock holds this file.
    Artifact(Digest),
    /// It stands on this: a suite, a repository, a repository with a tag, or a manifest.
    Base(String),
    /// An audit of its image found this.
    Vulnerability(String),
}

impl FromStr for Term {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        Ok(Self { what: What::parse(text)?, text: text.to_owned() })
    }
}

impl std::fmt::Display for Term {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl What {
    fn parse(text: &str) -> std::result::Result<Self, String> {
        let Some((word, rest)) = text.split_once(':') else {
            let letters = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.*/".contains(c));
            if text.is_empty() || !letters {
                return Err(format!("to look for a package write `package:{text}`"));
            }
            return Ok(Self::Name(text.to_owned()));
        };
        if rest.is_empty() {
            return Err(format!("nothing comes after `{word}:`"));
        }
        match word {
            "package" => PackageRange::parse(rest).map(Self::Package).map_err(|error| {
                format!("{error}; write `package:numpy<1.26`, or `package:debian:openssl<<3.0.11`")
            }),
            "artifact" => rest
                .parse()
                .map(Self::Artifact)
                .map_err(|_| "an artifact is `artifact:sha256:` and the 64 digits of its digest".to_owned()),
            "base" => Ok(Self::Base(rest.to_owned())),
            "vulnerability" => Ok(Self::Vulnerability(rest.to_owned())),
            word => Err(format!(
                "`{word}:` is not known: there are `package:`, `artifact:`, `base:` and `vulnerability:`"
            )),
        }
    }
}

impl Term {
    /// The text that the name is to hold, where it is about the name.
    pub(super) fn name(&self) -> Option<&str> {
        match &self.what {
            What::Name(text) => Some(text),
            _ => None,
        }
    }

    /// The same as the catalogue knows it.
    pub(super) async fn condition(&self, catalogue: &Catalogue) -> Result<Condition> {
        Ok(match &self.what {
            What::Name(text) => Condition::NameLike(format!("%{}%", like(text))),
            What::Package(range) => {
                let mut artifacts = Vec::new();
                for name in range.names() {
                    let rows = catalogue.artifacts_named(&name).await?;
                    artifacts
                        .extend(rows.into_iter().filter(|row| range.matches(&row.ecosystem, &row.version)));
                }
                held(&artifacts)
            }
            What::Artifact(digest) => held(&catalogue.artifacts_with(digest).await?),
            What::Base(text) => {
                let mut bases = catalogue.bases().await?;
                bases.retain(|base| is_base(base, text));
                held(&bases)
            }
            What::Vulnerability(name) => Condition::Advisory(name.to_uppercase()),
        })
    }
}

fn held(artifacts: &[ArtifactRow]) -> Condition {
    Condition::Holds(artifacts.iter().map(|row| row.id).collect())
}

/// Whether `text` means this base: its suite; its repository, whole or as Docker shortens it, with or without the tag; its
/// manifest.
fn is_base(base: &ArtifactRow, text: &str) -> bool {
    if base.digest == text || base.name == text {
        return true;
    }
    if base.name == "debian" && base.digest.is_empty() {
        // As a definition has it, and as an image shows it.
        let suite = text.strip_prefix("debian:").or_else(|| text.strip_prefix("debian/")).unwrap_or(text);
        return base.version == suite;
    }
    let docker = base.name.strip_prefix("docker.io/");
    let short = docker.map(|name| name.strip_prefix("library/").unwrap_or(name));
    [Some(base.name.as_str()), docker, short]
        .into_iter()
        .flatten()
        .any(|name| text == name || text == format!("{name}:{}", base.version))
}

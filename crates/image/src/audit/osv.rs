//! A record of a vulnerability, as far as it counts here (OSV schema 1.7).

use serde::Deserialize;
use serde_json::Value;

/// A record. What a list is may be `null` in it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    pub id: String,
    pub modified: Option<String>,
    pub withdrawn: Option<String>,
    pub summary: Option<String>,
    aliases: Option<Vec<String>>,
    upstream: Option<Vec<String>>,
    related: Option<Vec<String>>,
    severity: Option<Vec<Score>>,
    affected: Option<Vec<Affected>>,
    pub database_specific: Value,
}

/// Packages that are affected, and which of their versions.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Affected {
    package: Option<Named>,
    ranges: Option<Vec<Range>>,
    versions: Option<Vec<String>>,
    severity: Option<Vec<Score>>,
    pub ecosystem_specific: Value,
    pub database_specific: Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Named {
    pub ecosystem: String,
    pub name: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Range {
    #[serde(rename = "type")]
    pub kind: String,
    events: Option<Vec<Event>>,
}

/// One of these is there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Event {
    pub introduced: Option<String>,
    pub fixed: Option<String>,
    pub last_affected: Option<String>,
    pub limit: Option<String>,
}

/// A CVSS vector, or a word.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Score {
    #[serde(rename = "type")]
    pub kind: String,
    pub score: String,
}

fn all<T>(list: Option<&Vec<T>>) -> &[T] {
    list.map(Vec::as_slice).unwrap_or_default()
}

impl Record {
    pub fn aliases(&self) -> &[String] {
        all(self.aliases.as_ref())
    }

    pub fn upstream(&self) -> &[String] {
        all(self.upstream.as_ref())
    }

    pub fn related(&self) -> &[String] {
        all(self.related.as_ref())
    }

    pub fn severity(&self) -> &[Score] {
        all(self.severity.as_ref())
    }

    pub fn affected(&self) -> &[Affected] {
        all(self.affected.as_ref())
    }

    /// Leaves out what is affected besides what `wanted` says: some records list hundreds of packages.
    pub fn keep(&mut self, wanted: impl Fn(&Named) -> bool) {
        if let Some(affected) = &mut self.affected {
            affected.retain(|affected| affected.package.as_ref().is_some_and(&wanted));
        }
    }
}

impl Affected {
    pub fn package(&self) -> Option<&Named> {
        self.package.as_ref()
    }

    pub fn ranges(&self) -> &[Range] {
        all(self.ranges.as_ref())
    }

    pub fn versions(&self) -> &[String] {
        all(self.versions.as_ref())
    }

    pub fn severity(&self) -> &[Score] {
        all(self.severity.as_ref())
    }
}

impl Range {
    pub fn events(&self) -> &[Event] {
        all(self.events.as_ref())
    }
}

//! What locks hold, by package, artifact and base; and what audits found in their images.

use std::collections::BTreeSet;

use provenv_definition::Digest;
use provenv_lock::{Held, Lock};
use sqlx::Row as _;

use super::query::Query;
use super::rows::{parts, write};
use super::{Catalogue, Connection, Result};
use crate::auditing::AuditReport;

/// Something that locks hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactRow {
    /// Its number here.
    pub id: i64,
    /// Its ecosystem, as in [`Held`].
    pub ecosystem: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its digest, empty where it has none.
    pub digest: String,
}

impl From<(i64, String, String, String, String)> for ArtifactRow {
    fn from((id, ecosystem, name, version, digest): (i64, String, String, String, String)) -> Self {
        Self { id, ecosystem, name, version, digest }
    }
}

/// Enters what a lock holds, unless it is in.
pub(super) async fn index_lock(connection: &mut Connection, digest: &Digest, lock: &Lock) -> Result<()> {
    let digest = digest.to_string();
    if lock_number(connection, &digest).await?.is_some() {
        return Ok(());
    }
    let number = loop {
        // Of two that take the same number at once, one finds that it has none, and takes the next.
        sqlx::query(
            "INSERT INTO indexed_locks (id, lock) SELECT coalesce(max(id), 0) + 1, $1 FROM indexed_locks WHERE 1 = 1
             ON CONFLICT DO NOTHING",
        )
        .bind(&digest)
        .execute(&mut *connection)
        .await?;
        if let Some(number) = lock_number(connection, &digest).await? {
            break number;
        }
    };
    let artifacts = artifact_numbers(connection, &lock.held()).await?;
    let around =
        ("INSERT INTO holdings (artifact, lock) VALUES ", " ON CONFLICT (artifact, lock) DO NOTHING");
    write(connection, &artifacts, around, |query, artifact| {
        query.number(*artifact).number(number);
    })
    .await?;
    Ok(())
}

async fn lock_number(connection: &mut Connection, digest: &str) -> Result<Option<i64>> {
    let row: Option<(i64,)> = sqlx::query_as("SELECT id FROM indexed_locks WHERE lock = $1")
        .bind(digest)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(|(id,)| id))
}

/// What tells one from another: name, ecosystem, version, digest.
type Artifact = (String, String, String, String);

/// The numbers of artifacts, which they are given where they have none.
async fn artifact_numbers(connection: &mut Connection, held: &BTreeSet<Held>) -> Result<Vec<i64>> {
    let artifact = |held: &Held| {
        let digest = held.digest.as_ref().map(Digest::to_string).unwrap_or_default();
        (held.name.clone(), held.ecosystem.to_owned(), held.version.clone(), digest)
    };
    let mut unknown: BTreeSet<Artifact> = held.iter().map(artifact).collect();
    let mut numbers = Vec::with_capacity(unknown.len());
    loop {
        for (id, artifact) in known(connection, &unknown).await? {
            unknown.remove(&artifact);
            numbers.push(id);
        }
        if unknown.is_empty() {
            return Ok(numbers);
        }
        // Of two that take the same numbers at once, one finds that it has none, and takes the next.
        let fresh: Vec<&Artifact> = unknown.iter().collect();
        for part in parts(&fresh) {
            let mut query = Query::default();
            query.push("INSERT INTO artifacts (id, name, ecosystem, version, digest) VALUES ");
            for (place, (name, ecosystem, version, digest)) in (1..).zip(part) {
                query.push(if place == 1 { "(" } else { ", (" });
                query.push("(SELECT coalesce(max(id), 0) FROM artifacts) + ").number(place);
                query.push(", ").listed(|query| {
                    query.text(name).text(ecosystem).text(version).text(digest);
                });
                query.push(")");
            }
            query.push(" ON CONFLICT DO NOTHING").execute(connection).await?;
        }
    }
}

/// Those of them that have a number, with it.
async fn known(connection: &mut Connection, wanted: &BTreeSet<Artifact>) -> Result<Vec<(i64, Artifact)>> {
    let wanted: Vec<&Artifact> = wanted.iter().collect();
    let mut found = Vec::new();
    for part in parts(&wanted) {
        let mut query = Query::default();
        for (place, (name, ecosystem, version, digest)) in part.iter().enumerate() {
            // Each by the index.
            query.push(if place == 0 { "" } else { " UNION ALL " });
            query.push("SELECT id, name, ecosystem, version, digest FROM artifacts WHERE name = ").text(name);
            query.push(" AND ecosystem = ").text(ecosystem).push(" AND version = ").text(version);
            query.push(" AND digest = ").text(digest);
        }
        for row in query.rows(&mut *connection).await? {
            let artifact = (
                row.try_get("name")?,
                row.try_get("ecosystem")?,
                row.try_get("version")?,
                row.try_get("digest")?,
            );
            found.push((row.try_get("id")?, artifact));
        }
    }
    Ok(found)
}

/// Enters what an audit found, by every name that it has.
pub(super) async fn index_audit(connection: &mut Connection, report: &AuditReport) -> Result<()> {
    // Collected: a closure over references that lives across an await keeps the future from being sent between threads.
    let mut names: Vec<&str> = Vec::new();
    for finding in report.findings.iter().chain(&report.ignored) {
        names.push(&finding.id);
        names.extend(finding.aliases.iter().map(String::as_str));
    }
    for name in names {
        sqlx::query(
            "INSERT INTO advisories (advisory, lock, manifest, found_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (advisory, lock, manifest) DO UPDATE SET found_at = excluded.found_at",
        )
        .bind(name.to_uppercase())
        .bind(report.lock.to_string())
        .bind(report.image.to_string())
        .bind(report.audited_at.to_string())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

impl Catalogue {
    /// Everything of this name that a lock holds.
    pub async fn artifacts_named(&self, name: &str) -> Result<Vec<ArtifactRow>> {
        let rows: Vec<(i64, String, String, String, String)> =
            sqlx::query_as("SELECT id, ecosystem, name, version, digest FROM artifacts WHERE name = $1")
                .bind(name)
                .fetch_all(&self.pool)
                .await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// Everything with this digest that a lock holds.
    pub async fn artifacts_with(&self, digest: &Digest) -> Result<Vec<ArtifactRow>> {
        let rows: Vec<(i64, String, String, String, String)> =
            sqlx::query_as("SELECT id, ecosystem, name, version, digest FROM artifacts WHERE digest = $1")
                .bind(digest.to_string())
                .fetch_all(&self.pool)
                .await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// The bases that locks stand on.
    pub async fn bases(&self) -> Result<Vec<ArtifactRow>> {
        let rows: Vec<(i64, String, String, String, String)> = sqlx::query_as(
            "SELECT id, ecosystem, name, version, digest FROM artifacts WHERE ecosystem = 'base'",
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }
}

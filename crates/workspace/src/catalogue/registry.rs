//! What is pushed to the registry: repositories with their blobs, manifests and tags.

use std::collections::HashSet;

use provenv_definition::Digest;
use provenv_registry::server::{ManifestEntry, NewManifest};
use sqlx::Row as _;

use super::{Catalogue, Connection, Origin, Result, Turn, corrupt};

/// Why a manifest is not added, or a thing not removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// These parts of it are not in the repository.
    Missing(Vec<Digest>),
    /// This manifest names it.
    InUse(Digest),
}

impl Catalogue {
    /// What a tag names in a repository.
    pub async fn pushed_tag(&self, repository: &str, tag: &str) -> Result<Option<ManifestEntry>> {
        let row: Option<(String, String)> = sqlx::query_as(
            "SELECT registry_tags.manifest, registry_manifests.media_type FROM registry_tags
             JOIN registry_manifests ON registry_manifests.repository = registry_tags.repository
              AND registry_manifests.digest = registry_tags.manifest
             WHERE registry_tags.repository = $1 AND registry_tags.tag = $2",
        )
        .bind(repository)
        .bind(tag)
        .fetch_optional(&self.pool)
        .await?;
        row.map(|(digest, media_type)| {
            Ok(ManifestEntry { digest: digest.parse().map_err(corrupt("digest"))?, media_type })
        })
        .transpose()
    }

    /// A manifest of a repository.
    pub async fn pushed_manifest(&self, repository: &str, digest: &Digest) -> Result<Option<ManifestEntry>> {
        let row: Option<(String,)> =
            sqlx::query_as("SELECT media_type FROM registry_manifests WHERE repository = $1 AND digest = $2")
                .bind(repository)
                .bind(digest.to_string())
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.map(|(media_type,)| ManifestEntry { digest: *digest, media_type }))
    }

    /// Whether a blob is in a repository; in any one, if none is given.
    pub async fn has_pushed_blob(&self, repository: Option<&str>, digest: &Digest) -> Result<bool> {
        let row: Option<(i64,)> = match repository {
            Some(repository) => {
                sqlx::query_as("SELECT 1 FROM registry_blobs WHERE repository = $1 AND digest = $2")
                    .bind(repository)
                    .bind(digest.to_string())
                    .fetch_optional(&self.pool)
                    .await?
            }
            None => {
                sqlx::query_as("SELECT 1 FROM registry_blobs WHERE digest = $1 LIMIT 1")
                    .bind(digest.to_string())
                    .fetch_optional(&self.pool)
                    .await?
            }
        };
        Ok(row.is_some())
    }

    /// Whether anything was pushed to a repository.
    pub async fn is_pushed_repository(&self, repository: &str) -> Result<bool> {
        let row: Option<(i64,)> = sqlx::query_as(
            "SELECT 1 FROM registry_manifests WHERE repository = $1
             UNION ALL SELECT 1 FROM registry_blobs WHERE repository = $1 LIMIT 1",
        )
        .bind(repository)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.is_some())
    }

    /// The repositories that have manifests, by name, after `after`.
    pub async fn pushed_repositories(&self, after: &str, limit: usize) -> Result<Vec<String>> {
        let rows: Vec<(String,)> = sqlx::query_as(
            "SELECT DISTINCT repository FROM registry_manifests WHERE repository > $1 ORDER BY repository LIMIT $2",
        )
        .bind(after)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|(name,)| name).collect())
    }

    /// The tags of a repository, whatever their case, after `after`.
    pub async fn pushed_tags(&self, repository: &str, after: &str, limit: usize) -> Result<Vec<String>> {
        let rows: Vec<(String,)> = sqlx::query_as(
            "SELECT tag FROM registry_tags WHERE repository = $1 AND (lower(tag), tag) > (lower($2), $2)
             ORDER BY lower(tag), tag LIMIT $3",
        )
        .bind(repository)
        .bind(after)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|(tag,)| tag).collect())
    }

    /// The descriptors of the manifests that are about `subject`, by digest.
    pub async fn pushed_referrers(&self, repository: &str, subject: &Digest) -> Result<Vec<String>> {
        let rows: Vec<(String,)> = sqlx::query_as(
            "SELECT descriptor FROM registry_manifests WHERE repository = $1 AND subject = $2 ORDER BY digest",
        )
        .bind(repository)
        .bind(subject.to_string())
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|(descriptor,)| descriptor).collect())
    }

    /// Adds a blob to a repository, or says that it came again.
    pub async fn push_blob(&self, repository: &str, digest: &Digest, size: u64) -> Result<()> {
        sqlx::query(
            "INSERT INTO registry_blobs (repository, digest, size, added_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (repository, digest) DO UPDATE SET size = excluded.size, added_at = excluded.added_at",
        )
        .bind(repository)
        .bind(digest.to_string())
        .bind(i64::try_from(size).unwrap_or(i64::MAX))
        .bind(jiff::Timestamp::now().to_string())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Adds a manifest to a repository and makes `tag` name it, if all its parts are there; `own` are those that are there
    /// without having been pushed.
    pub async fn push_manifest(
        &self,
        repository: &str,
        manifest: &NewManifest,
        tag: Option<&str>,
        own: &HashSet<Digest>,
    ) -> Result<Result<(), Refused>> {
        let mut transaction = self.begin(&Turn::Registry).await?;
        let mut missing = Vec::new();
        for (table, digests) in
            [("registry_blobs", &manifest.blobs), ("registry_manifests", &manifest.manifests)]
        {
            for digest in digests.iter().filter(|digest| !own.contains(digest)) {
                if !is_in(&mut transaction, table, repository, digest).await? {
                    missing.push(*digest);
                }
            }
        }
        if !missing.is_empty() {
            return Ok(Err(Refused::Missing(missing)));
        }
        let digest = manifest.entry.digest.to_string();
        sqlx::query(
            "INSERT INTO registry_manifests
             (repository, digest, media_type, subject, descriptor, pushed_at, pushed_by)
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (repository, digest) DO NOTHING",
        )
        .bind(repository)
        .bind(&digest)
        .bind(&manifest.entry.media_type)
        .bind(manifest.subject.map(|subject| subject.to_string()))
        .bind(&manifest.descriptor)
        .bind(jiff::Timestamp::now().to_string())
        .bind(&manifest.pushed_by)
        .execute(&mut *transaction)
        .await?;
        for part in manifest.blobs.iter().chain(&manifest.manifests) {
            sqlx::query(
                "INSERT INTO registry_parts (repository, manifest, part) VALUES ($1, $2, $3)
                 ON CONFLICT (repository, manifest, part) DO NOTHING",
            )
            .bind(repository)
            .bind(&digest)
            .bind(part.to_string())
            .execute(&mut *transaction)
            .await?;
        }
        if let Some(tag) = tag {
            sqlx::query(
                "INSERT INTO registry_tags (repository, tag, manifest) VALUES ($1, $2, $3)
                 ON CONFLICT (repository, tag) DO UPDATE SET manifest = excluded.manifest",
            )
            .bind(repository)
            .bind(tag)
            .bind(&digest)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(Ok(()))
    }

    /// Removes a tag; says whether it was there.
    pub async fn remove_pushed_tag(&self, repository: &str, tag: &str) -> Result<bool> {
        let done = sqlx::query("DELETE FROM registry_tags WHERE repository = $1 AND tag = $2")
            .bind(repository)
            .bind(tag)
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Removes a manifest and the tags that name it; says whether it was there.
    pub async fn remove_pushed_manifest(
        &self,
        repository: &str,
        digest: &Digest,
    ) -> Result<Result<bool, Refused>> {
        self.remove_pushed("registry_manifests", repository, digest).await
    }

    /// Removes a blob; says whether it was there.
    pub async fn remove_pushed_blob(
        &self,
        repository: &str,
        digest: &Digest,
    ) -> Result<Result<bool, Refused>> {
        self.remove_pushed("registry_blobs", repository, digest).await
    }

    /// Removes what no manifest of the repository names.
    async fn remove_pushed(
        &self,
        table: &'static str,
        repository: &str,
        digest: &Digest,
    ) -> Result<Result<bool, Refused>> {
        let mut transaction = self.begin(&Turn::Registry).await?;
        if !is_in(&mut transaction, table, repository, digest).await? {
            return Ok(Ok(false));
        }
        let by: Option<(String,)> = sqlx::query_as(
            "SELECT manifest FROM registry_parts WHERE repository = $1 AND part = $2 ORDER BY manifest LIMIT 1",
        )
        .bind(repository)
        .bind(digest.to_string())
        .fetch_optional(&mut *transaction)
        .await?;
        if let Some((by,)) = by {
            return Ok(Err(Refused::InUse(by.parse().map_err(corrupt("digest"))?)));
        }
        sqlx::query(sqlx::AssertSqlSafe(format!(
            "DELETE FROM {table} WHERE repository = $1 AND digest = $2"
        )))
        .bind(repository)
        .bind(digest.to_string())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Ok(true))
    }

    /// The blobs that repositories need: manifests and all that they name, and what has come since `since`, whose manifest
    /// may be on its way.
    pub async fn pushed_digests(&self, since: jiff::Timestamp) -> Result<Vec<Digest>> {
        let rows: Vec<(String,)> = sqlx::query_as(
            "SELECT digest FROM registry_manifests UNION SELECT part FROM registry_parts
             UNION SELECT digest FROM registry_blobs WHERE added_at >= $1",
        )
        .bind(since.to_string())
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(|(digest,)| digest.parse().map_err(corrupt("digest"))).collect()
    }

    /// The repositories that need a blob: a manifest of theirs, or what one names.
    pub async fn repositories_of(&self, digest: &Digest) -> Result<Vec<String>> {
        let rows: Vec<(String,)> = sqlx::query_as(
            "SELECT repository FROM registry_manifests WHERE digest = $1
             UNION SELECT repository FROM registry_parts WHERE part = $1 ORDER BY repository",
        )
        .bind(digest.to_string())
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|(name,)| name).collect())
    }

    /// Forgets blobs that came before `since` and that no manifest of their repository names.
    pub async fn forget_pushed_blobs(&self, since: jiff::Timestamp) -> Result<()> {
        // A manifest that has just found its blobs here is to be added before they are looked at.
        let mut transaction = self.begin(&Turn::Registry).await?;
        sqlx::query(
            "DELETE FROM registry_blobs WHERE added_at < $1 AND NOT EXISTS (
                 SELECT 1 FROM registry_parts WHERE registry_parts.repository = registry_blobs.repository
                  AND registry_parts.part = registry_blobs.digest)",
        )
        .bind(since.to_string())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The registered versions that the repository of that name shows, the newest first within a name.
    pub async fn repository_versions(&self, repository: &str) -> Result<Vec<RepositoryVersion>> {
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT name, version, lock FROM environments WHERE lower(name) = $1 ORDER BY name, ordinal DESC",
        )
        .bind(repository)
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|(name, version, lock)| {
                let lock = lock.parse().map_err(corrupt("digest"))?;
                Ok(RepositoryVersion { name, version, lock })
            })
            .collect()
    }

    /// The images of a lock: those of the newest epoch first, and of these the one that was made first.
    pub async fn images_of_lock(&self, lock: &Digest) -> Result<Vec<Origin>> {
        let rows = sqlx::query(
            "SELECT manifest, platform, epoch, compression, layers FROM images WHERE lock = $1
             ORDER BY epoch DESC, created_at, platform, compression, layers",
        )
        .bind(lock.to_string())
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Origin {
                    image: row.try_get::<String, _>("manifest")?.parse().map_err(corrupt("digest"))?,
                    lock: *lock,
                    platform: row.try_get::<String, _>("platform")?.parse().map_err(corrupt("platform"))?,
                    form: super::images::form(row)?,
                })
            })
            .collect()
    }

    /// The manifests of all images, or of those of the environments that a repository is called after.
    pub async fn own_manifests(&self, repository: Option<&str>) -> Result<Vec<Digest>> {
        let rows: Vec<(String,)> = match repository {
            Some(repository) => {
                sqlx::query_as(
                    "SELECT DISTINCT images.manifest FROM environments
                     JOIN images ON images.lock = environments.lock WHERE lower(environments.name) = $1",
                )
                .bind(repository)
                .fetch_all(&self.pool)
                .await?
            }
            None => sqlx::query_as("SELECT DISTINCT manifest FROM images").fetch_all(&self.pool).await?,
        };
        rows.into_iter().map(|(digest,)| digest.parse().map_err(corrupt("digest"))).collect()
    }

    /// The blobs of the image with this manifest.
    pub async fn image_of_manifest(&self, manifest: &Digest) -> Result<Option<provenv_image::oci::Image>> {
        let row: Option<(String,)> = sqlx::query_as("SELECT body FROM images WHERE manifest = $1 LIMIT 1")
            .bind(manifest.to_string())
            .fetch_optional(&self.pool)
            .await?;
        row.map(|(body,)| serde_json::from_str(&body).map_err(corrupt("image"))).transpose()
    }

    /// The names, in lower case, of the environments that have an image, after `after`.
    pub async fn repositories_with_images(&self, after: &str, limit: usize) -> Result<Vec<String>> {
        let rows: Vec<(String,)> = sqlx::query_as(
            "SELECT DISTINCT lower(environments.name) AS repository FROM environments
             JOIN images ON images.lock = environments.lock WHERE lower(environments.name) > $1
             ORDER BY repository LIMIT $2",
        )
        .bind(after)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|(name,)| name).collect())
    }
}

/// A registered version that a repository shows.
#[derive(Clone, Debug)]
pub struct RepositoryVersion {
    /// The environment's name, as it was registered.
    pub name: String,
    /// Its version, which is the tag.
    pub version: String,
    /// Its lock.
    pub lock: Digest,
}

/// Whether a table has something of a repository.
async fn is_in(
    connection: &mut Connection,
    table: &'static str,
    repository: &str,
    digest: &Digest,
) -> Result<bool> {
    let query = sqlx::AssertSqlSafe(format!("SELECT 1 FROM {table} WHERE repository = $1 AND digest = $2"));
    let row: Option<(i64,)> =
        sqlx::query_as(query).bind(repository).bind(digest.to_string()).fetch_optional(connection).await?;
    Ok(row.is_some())
}

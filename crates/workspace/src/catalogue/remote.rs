//! What other registries have.

use provenv_definition::{Digest, Platform};
use provenv_image::form::Form;
use provenv_image::oci::Image;
use sqlx::Row as _;

use super::{Catalogue, ImageRow, Result, Row, Turn, corrupt};

/// An image that a registry has.
#[derive(Clone, Debug)]
pub struct RemoteImage {
    /// The lock it was assembled from.
    pub lock: Digest,
    /// Its form.
    pub form: Form,
    /// It.
    pub image: Image,
    /// `HOST/NAME`.
    pub reference: String,
    found_at: jiff::Timestamp,
}

impl From<RemoteImage> for ImageRow {
    fn from(remote: RemoteImage) -> Self {
        let RemoteImage { lock, form, image, found_at, .. } = remote;
        Self { lock, platform: image.platform, form, image, created_at: found_at }
    }
}

impl Catalogue {
    /// Records that the repository `reference` (`HOST/NAME`) has the image of `lock`.
    pub async fn record_remote_image(
        &self,
        lock: &Digest,
        form: Form,
        image: &Image,
        reference: &str,
    ) -> Result<()> {
        sqlx::query(
            "INSERT INTO remote_images
                 (lock, platform, epoch, compression, layers, manifest, body, reference, found_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             ON CONFLICT (lock, platform, epoch, compression, layers) DO UPDATE
             SET manifest = excluded.manifest, body = excluded.body, reference = excluded.reference",
        )
        .bind(lock.to_string())
        .bind(image.platform.as_str())
        .bind(i64::from(form.epoch))
        .bind(form.packing.as_str())
        .bind(i64::from(form.layers.unwrap_or(0)))
        .bind(image.manifest.to_string())
        .bind(serde_json::to_string(image).map_err(corrupt("image"))?)
        .bind(reference)
        .bind(jiff::Timestamp::now().to_string())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The image of `lock` for `platform` in this form that a registry has.
    pub async fn remote_image(
        &self,
        lock: &Digest,
        platform: Platform,
        form: Form,
    ) -> Result<Option<RemoteImage>> {
        let row = sqlx::query(
            "SELECT lock, epoch, compression, layers, body, reference, found_at FROM remote_images
             WHERE lock = $1 AND platform = $2 AND epoch = $3 AND compression = $4 AND layers = $5",
        )
        .bind(lock.to_string())
        .bind(platform.as_str())
        .bind(i64::from(form.epoch))
        .bind(form.packing.as_str())
        .bind(i64::from(form.layers.unwrap_or(0)))
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(read).transpose()
    }

    /// Every image that a registry has, newest first.
    pub async fn remote_images(&self) -> Result<Vec<RemoteImage>> {
        let rows = sqlx::query(
            "SELECT lock, epoch, compression, layers, body, reference, found_at FROM remote_images
             ORDER BY found_at DESC",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read).collect()
    }

    /// Forgets that a registry has the image of `lock`: it does not.
    pub async fn forget_remote_image(&self, lock: &Digest, manifest: &Digest) -> Result<()> {
        sqlx::query("DELETE FROM remote_images WHERE lock = $1 AND manifest = $2")
            .bind(lock.to_string())
            .bind(manifest.to_string())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Records that a repository has these blobs.
    pub async fn record_remote_blobs(
        &self,
        registry: &str,
        repository: &str,
        blobs: &[(Digest, u64)],
    ) -> Result<()> {
        let mut transaction = self.begin(&Turn::Remote).await?;
        let now = jiff::Timestamp::now().to_string();
        for (digest, size) in blobs {
            sqlx::query(
                "INSERT INTO remote_blobs (registry, digest, repository, size, seen_at) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (registry, digest, repository) DO UPDATE SET seen_at = excluded.seen_at",
            )
            .bind(registry)
            .bind(digest.to_string())
            .bind(repository)
            .bind(i64::try_from(*size).unwrap_or(i64::MAX))
            .bind(&now)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// The repositories that were last seen to have a blob: registry, name, the blob's size.
    pub async fn remote_blob(&self, digest: &Digest) -> Result<Vec<(String, String, u64)>> {
        let rows: Vec<(String, String, i64)> = sqlx::query_as(
            "SELECT registry, repository, size FROM remote_blobs WHERE digest = $1 ORDER BY seen_at DESC, repository",
        )
        .bind(digest.to_string())
        .fetch_all(&self.pool)
        .await?;
        let rows = rows.into_iter();
        Ok(rows
            .map(|(registry, repository, size)| (registry, repository, u64::try_from(size).unwrap_or(0)))
            .collect())
    }
}

fn read(row: &Row) -> Result<RemoteImage> {
    Ok(RemoteImage {
        lock: row.try_get::<String, _>("lock")?.parse().map_err(corrupt("digest"))?,
        form: super::images::form(row)?.unwrap_or_default(),
        image: serde_json::from_str(&row.try_get::<String, _>("body")?).map_err(corrupt("image"))?,
        reference: row.try_get("reference")?,
        found_at: row.try_get::<String, _>("found_at")?.parse().map_err(corrupt("time"))?,
    })
}

//! What locks became.

use provenv_definition::{Digest, Platform};
use provenv_image::form::Form;
use provenv_image::oci::Image;
use sqlx::Row as _;

use super::{Catalogue, Result, Row, corrupt};

/// An image of this workspace.
#[derive(Clone, Debug)]
pub struct ImageRow {
    /// The lock it was assembled from.
    pub lock: Digest,
    /// What it runs on.
    pub platform: Platform,
    /// Its form.
    pub form: Form,
    /// The image.
    pub image: Image,
    /// When it was first assembled here.
    pub created_at: jiff::Timestamp,
}

impl Catalogue {
    /// The image of `lock` for `platform` in this form.
    pub async fn image(&self, lock: &Digest, platform: Platform, form: Form) -> Result<Option<Image>> {
        let row: Option<(String,)> = sqlx::query_as(
            "SELECT body FROM images
             WHERE lock = $1 AND platform = $2 AND epoch = $3 AND compression = $4 AND layers = $5",
        )
        .bind(lock.to_string())
        .bind(platform.as_str())
        .bind(i64::from(form.epoch))
        .bind(form.packing.as_str())
        .bind(i64::from(form.layers.unwrap_or(0)))
        .fetch_optional(&self.pool)
        .await?;
        row.map(|(body,)| serde_json::from_str(&body).map_err(corrupt("image"))).transpose()
    }

    /// The forms in which the image of `lock` for `platform` is on record, the newest first.
    pub async fn forms(&self, lock: &Digest, platform: Platform) -> Result<Vec<Form>> {
        let rows = sqlx::query(
            "SELECT epoch, compression, layers FROM images WHERE lock = $1 AND platform = $2
             ORDER BY epoch DESC, created_at DESC",
        )
        .bind(lock.to_string())
        .bind(platform.as_str())
        .fetch_all(&self.pool)
        .await?;
        rows.iter().filter_map(|row| form(row).transpose()).collect()
    }

    /// Records what `lock` became.
    pub async fn record_image(&self, lock: &Digest, form: Form, image: &Image) -> Result<()> {
        sqlx::query(
            "INSERT INTO images (lock, platform, epoch, compression, layers, manifest, body, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (lock, platform, epoch, compression, layers)
             DO UPDATE SET manifest = excluded.manifest, body = excluded.body",
        )
        .bind(lock.to_string())
        .bind(image.platform.as_str())
        .bind(i64::from(form.epoch))
        .bind(form.packing.as_str())
        .bind(i64::from(form.layers.unwrap_or(0)))
        .bind(image.manifest.to_string())
        .bind(serde_json::to_string(image).map_err(corrupt("image"))?)
        .bind(jiff::Timestamp::now().to_string())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Records what `lock` became elsewhere, unless it has become something here. Says what it is now.
    pub async fn import_image(&self, lock: &Digest, form: Form, image: &Image) -> Result<Digest> {
        sqlx::query(
            "INSERT INTO images (lock, platform, epoch, compression, layers, manifest, body, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (lock, platform, epoch, compression, layers) DO NOTHING",
        )
        .bind(lock.to_string())
        .bind(image.platform.as_str())
        .bind(i64::from(form.epoch))
        .bind(form.packing.as_str())
        .bind(i64::from(form.layers.unwrap_or(0)))
        .bind(image.manifest.to_string())
        .bind(serde_json::to_string(image).map_err(corrupt("image"))?)
        .bind(jiff::Timestamp::now().to_string())
        .execute(&self.pool)
        .await?;
        let there = self.image(lock, image.platform, form).await?;
        Ok(there.map_or(image.manifest, |image| image.manifest))
    }

    /// Whether this image was assembled from this lock in this workspace, by whatever rules, at any time.
    pub async fn was_made(&self, lock: &Digest, manifest: &Digest) -> Result<bool> {
        let row: Option<(i64,)> = sqlx::query_as(
            "SELECT 1 FROM builds WHERE lock = $1 AND manifest = $2 AND status = 'succeeded' LIMIT 1",
        )
        .bind(lock.to_string())
        .bind(manifest.to_string())
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.is_some())
    }

    /// Every image, newest first.
    pub async fn images(&self) -> Result<Vec<ImageRow>> {
        let rows = sqlx::query(
            "SELECT lock, platform, epoch, compression, layers, body, created_at FROM images ORDER BY created_at DESC",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read).collect()
    }

    /// Forgets an image whose bytes were collected.
    pub async fn forget_image(&self, row: &ImageRow) -> Result<()> {
        sqlx::query(
            "DELETE FROM images WHERE lock = $1 AND platform = $2 AND epoch = $3 AND compression = $4 AND layers = $5",
        )
        .bind(row.lock.to_string())
        .bind(row.platform.as_str())
        .bind(i64::from(row.form.epoch))
        .bind(row.form.packing.as_str())
        .bind(i64::from(row.form.layers.unwrap_or(0)))
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

pub(super) fn read(row: &Row) -> Result<ImageRow> {
    Ok(ImageRow {
        form: form(row)?.unwrap_or_default(),
        lock: row.try_get::<String, _>("lock")?.parse().map_err(corrupt("digest"))?,
        platform: row.try_get::<String, _>("platform")?.parse().map_err(corrupt("platform"))?,
        image: serde_json::from_str(&row.try_get::<String, _>("body")?).map_err(corrupt("image"))?,
        created_at: row.try_get::<String, _>("created_at")?.parse().map_err(corrupt("time"))?,
    })
}

/// The form in a row, if it says one.
pub(super) fn form(row: &Row) -> Result<Option<Form>> {
    let epoch: Option<i64> = row.try_get("epoch")?;
    let Some(epoch) = epoch.and_then(|epoch| u32::try_from(epoch).ok()) else { return Ok(None) };
    let packing: Option<String> = row.try_get("compression")?;
    let packing = packing.map(|text| text.parse()).transpose().map_err(corrupt("form"))?.unwrap_or_default();
    let layers: Option<i64> = row.try_get("layers")?;
    let layers = layers.and_then(|layers| u8::try_from(layers).ok()).filter(|layers| *layers > 0);
    Ok(Some(Form { epoch, packing, layers }))
}

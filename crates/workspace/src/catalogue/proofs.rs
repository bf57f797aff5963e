//! What is attached to images, and where images come from.

use provenv_definition::{Digest, Platform};
use provenv_image::form::Form;
use provenv_image::proof::Referrer;
use provenv_lock::Receipt;
use sqlx::Row as _;

use super::{Catalogue, Result, Row, corrupt};

/// Something that is attached to an image.
#[derive(Clone, Debug)]
pub struct ProofRow {
    /// The key that signed it, if any did.
    pub key: Option<Digest>,
    /// It.
    pub referrer: Referrer,
}

/// What an image was assembled from. Known also of images whose bytes were collected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The image.
    pub image: Digest,
    /// The lock.
    pub lock: Digest,
    /// What it runs on.
    pub platform: Platform,
    /// Its form, where that is still known.
    pub form: Option<Form>,
}

impl Catalogue {
    /// Keeps `referrer` with its image. One that is there stays as it is.
    pub async fn record_proof(&self, referrer: &Referrer, key: Option<&Digest>, by: &str) -> Result<()> {
        sqlx::query(
            "INSERT INTO proofs (subject, referrer, key, body, created_at, created_by) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (subject, referrer) DO NOTHING",
        )
        .bind(referrer.subject.to_string())
        .bind(referrer.manifest.to_string())
        .bind(key.map(Digest::to_string))
        .bind(serde_json::to_string(referrer).map_err(corrupt("proof"))?)
        .bind(jiff::Timestamp::now().to_string())
        .bind(by)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// What is attached to an image, in the order in which it was.
    pub async fn proofs(&self, image: &Digest) -> Result<Vec<ProofRow>> {
        let rows =
            sqlx::query("SELECT key, body FROM proofs WHERE subject = $1 ORDER BY created_at, referrer")
                .bind(image.to_string())
                .fetch_all(&self.pool)
                .await?;
        rows.iter().map(read).collect()
    }

    /// What is attached to any image.
    pub async fn all_proofs(&self) -> Result<Vec<ProofRow>> {
        let rows = sqlx::query("SELECT key, body FROM proofs").fetch_all(&self.pool).await?;
        rows.iter().map(read).collect()
    }

    /// What every image that was ever assembled here came from, the first one first.
    pub async fn origins(&self) -> Result<Vec<Origin>> {
        let rows = sqlx::query(
            "SELECT manifest, lock, platform, epoch, compression, layers, created_at AS at FROM images
             UNION ALL
             SELECT manifest, lock, platform, epoch, compression, layers, found_at AS at FROM remote_images
             UNION ALL
             SELECT manifest, lock, platform, epoch, compression, layers, started_at AS at FROM builds
             WHERE status = 'succeeded' AND manifest IS NOT NULL AND definition IS NULL
             ORDER BY at",
        )
        .fetch_all(&self.pool)
        .await?;
        let mut origins: Vec<Origin> = Vec::with_capacity(rows.len());
        for row in &rows {
            let origin = Origin {
                image: row.try_get::<String, _>("manifest")?.parse().map_err(corrupt("digest"))?,
                lock: row.try_get::<String, _>("lock")?.parse().map_err(corrupt("digest"))?,
                platform: row.try_get::<String, _>("platform")?.parse().map_err(corrupt("platform"))?,
                form: super::images::form(row)?,
            };
            let same = |one: &&mut Origin| {
                (one.image, one.lock, one.platform) == (origin.image, origin.lock, origin.platform)
            };
            match origins.iter_mut().find(same) {
                Some(one) => one.form = one.form.or(origin.form),
                None => origins.push(origin),
            }
        }
        Ok(origins)
    }

    /// The receipt that chose `lock` first, with its digest and its bytes. One that resolved it goes before one that took it
    /// over from a file, and one that was written here before one that was taken from elsewhere.
    pub async fn first_receipt(&self, lock: &Digest) -> Result<Option<(Digest, String, Receipt)>> {
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT digest, body FROM documents WHERE kind = 'receipt' AND body LIKE $1")
                .bind(format!("%\"{lock}\"%"))
                .fetch_all(&self.pool)
                .await?;
        let mut receipts = Vec::with_capacity(rows.len());
        for (digest, body) in rows {
            let receipt: Receipt = serde_json::from_str(&body).map_err(corrupt("receipt"))?;
            if receipt.lock == *lock {
                receipts.push((digest.parse().map_err(corrupt("digest"))?, body, receipt));
            }
        }
        let taken: Vec<(String,)> =
            sqlx::query_as("SELECT receipt FROM taken_receipts").fetch_all(&self.pool).await?;
        receipts.sort_by_key(|(digest, _, receipt): &(Digest, _, Receipt)| {
            let is_taken = taken.iter().any(|(one,)| *one == digest.to_string());
            (receipt.from_file, is_taken, receipt.resolved_at, digest.hex())
        });
        Ok(receipts.into_iter().next())
    }
}

fn read(row: &Row) -> Result<ProofRow> {
    let key: Option<String> = row.try_get("key")?;
    Ok(ProofRow {
        key: key.map(|key| key.parse()).transpose().map_err(corrupt("digest"))?,
        referrer: serde_json::from_str(&row.try_get::<String, _>("body")?).map_err(corrupt("proof"))?,
    })
}

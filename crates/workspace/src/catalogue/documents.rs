//! Definitions, locks and receipts by digest.

use std::collections::BTreeMap;

use provenv_definition::{Definition, Digest};
use provenv_image::proof::TakenFrom;
use provenv_lock::{Lock, Receipt};

use super::holdings::index_lock;
use super::taken::note_taken;
use super::{Catalogue, Result, Turn, corrupt};

/// What a definition resolves to.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The receipt that is current.
    pub receipt: Digest,
    /// Its lock.
    pub lock: Digest,
    /// The images that this became, by platform; in the form that was made last.
    pub images: BTreeMap<String, Digest>,
}

impl Catalogue {
    /// The lock with this digest.
    pub async fn lock(&self, digest: &Digest) -> Result<Option<Lock>> {
        let Some(body) = self.document(digest, "lock").await? else { return Ok(None) };
        Lock::from_bytes(body.as_bytes()).map(Some).map_err(corrupt("lock"))
    }

    /// The definition with this digest.
    pub async fn definition(&self, digest: &Digest) -> Result<Option<Definition>> {
        let Some(body) = self.document(digest, "definition").await? else { return Ok(None) };
        serde_json::from_str(&body).map(Some).map_err(corrupt("definition"))
    }

    /// The receipt with this digest.
    pub async fn receipt(&self, digest: &Digest) -> Result<Option<Receipt>> {
        let Some(body) = self.document(digest, "receipt").await? else { return Ok(None) };
        serde_json::from_str(&body).map(Some).map_err(corrupt("receipt"))
    }

    /// The receipt that `definition` resolves to now.
    pub async fn current_receipt(&self, definition: &Digest) -> Result<Option<(Digest, Receipt)>> {
        let row: Option<(String, String)> = sqlx::query_as(
            "SELECT current_receipts.receipt, documents.body FROM current_receipts
             JOIN documents ON documents.digest = current_receipts.receipt
             WHERE current_receipts.definition = $1",
        )
        .bind(definition.to_string())
        .fetch_optional(&self.pool)
        .await?;
        let Some((digest, body)) = row else { return Ok(None) };
        let digest = digest.parse().map_err(corrupt("digest"))?;
        Ok(Some((digest, serde_json::from_str(&body).map_err(corrupt("receipt"))?)))
    }

    /// What `definition` resolves to now, and what that became.
    pub async fn resolved(&self, definition: &Digest) -> Result<Option<Resolved>> {
        let Some((receipt, read)) = self.current_receipt(definition).await? else { return Ok(None) };
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT platform, manifest FROM images WHERE lock = $1 ORDER BY created_at")
                .bind(read.lock.to_string())
                .fetch_all(&self.pool)
                .await?;
        let images = rows
            .into_iter()
            .map(|(platform, manifest)| Ok((platform, manifest.parse().map_err(corrupt("digest"))?)));
        Ok(Some(Resolved { receipt, lock: read.lock, images: images.collect::<Result<_>>()? }))
    }

    /// Keeps a definition, its lock and its receipt together, and makes the receipt the definition's current one.
    pub async fn record_resolution(
        &self,
        definition: &Definition,
        lock: &Lock,
        receipt: &Receipt,
    ) -> Result<Digest> {
        let definition_body = serde_json::to_string(definition).map_err(corrupt("definition"))?;
        let lock_body = String::from_utf8(lock.to_bytes()).map_err(corrupt("lock"))?;
        let receipt_body = serde_json::to_string_pretty(receipt).map_err(corrupt("receipt"))?;
        let receipt_digest = Digest::of(receipt_body.as_bytes());
        let mut transaction = self.begin(&Turn::Definition(&receipt.definition)).await?;
        for (digest, kind, body) in [
            (&receipt.definition, "definition", definition_body),
            (&receipt.lock, "lock", lock_body),
            (&receipt_digest, "receipt", receipt_body),
        ] {
            sqlx::query("INSERT INTO documents (digest, kind, body) VALUES ($1, $2, $3) ON CONFLICT (digest) DO NOTHING")
                .bind(digest.to_string())
                .bind(kind)
                .bind(body)
                .execute(&mut *transaction)
                .await?;
        }
        sqlx::query(
            "INSERT INTO current_receipts (definition, receipt) VALUES ($1, $2)
             ON CONFLICT (definition) DO UPDATE SET receipt = excluded.receipt",
        )
        .bind(receipt.definition.to_string())
        .bind(receipt_digest.to_string())
        .execute(&mut *transaction)
        .await?;
        index_lock(&mut transaction, &receipt.lock, lock).await?;
        transaction.commit().await?;
        Ok(receipt_digest)
    }

    /// Keeps what another workspace resolved, the receipt as it was written there, and where it was taken from, unless it was
    /// written on this machine. It becomes the definition's current one only where there is none.
    pub async fn import_resolution(
        &self,
        definition: &Definition,
        lock: &Lock,
        receipt: &Receipt,
        receipt_text: &str,
        from: Option<&TakenFrom>,
    ) -> Result<()> {
        let definition_body = serde_json::to_string(definition).map_err(corrupt("definition"))?;
        let lock_body = String::from_utf8(lock.to_bytes()).map_err(corrupt("lock"))?;
        let receipt_digest = Digest::of(receipt_text.as_bytes());
        let mut transaction = self.begin(&Turn::Definition(&receipt.definition)).await?;
        let (own,): (i64,) = sqlx::query_as(
            "SELECT COUNT(*) FROM documents WHERE digest = $1
             AND NOT EXISTS (SELECT 1 FROM taken_receipts WHERE receipt = $1)",
        )
        .bind(receipt_digest.to_string())
        .fetch_one(&mut *transaction)
        .await?;
        let is_own = own > 0;
        for (digest, kind, body) in [
            (&receipt.definition, "definition", definition_body.as_str()),
            (&receipt.lock, "lock", lock_body.as_str()),
            (&receipt_digest, "receipt", receipt_text),
        ] {
            sqlx::query("INSERT INTO documents (digest, kind, body) VALUES ($1, $2, $3) ON CONFLICT (digest) DO NOTHING")
                .bind(digest.to_string())
                .bind(kind)
                .bind(body)
                .execute(&mut *transaction)
                .await?;
        }
        if let Some(from) = from.filter(|_| !is_own) {
            note_taken(&mut transaction, &receipt_digest, from).await?;
        }
        sqlx::query(
            "INSERT INTO current_receipts (definition, receipt) VALUES ($1, $2) ON CONFLICT (definition) DO NOTHING",
        )
        .bind(receipt.definition.to_string())
        .bind(receipt_digest.to_string())
        .execute(&mut *transaction)
        .await?;
        index_lock(&mut transaction, &receipt.lock, lock).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Keeps a lock, as nobody's current one.
    pub async fn keep_lock(&self, lock: &Lock) -> Result<()> {
        let body = String::from_utf8(lock.to_bytes()).map_err(corrupt("lock"))?;
        let digest = lock.digest();
        let mut transaction = self.begin(&Turn::Definition(&lock.definition)).await?;
        sqlx::query("INSERT INTO documents (digest, kind, body) VALUES ($1, 'lock', $2) ON CONFLICT (digest) DO NOTHING")
            .bind(digest.to_string())
            .bind(body)
            .execute(&mut *transaction)
            .await?;
        index_lock(&mut transaction, &digest, lock).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The digests of all locks.
    pub async fn locks(&self) -> Result<Vec<Digest>> {
        let rows: Vec<(String,)> =
            sqlx::query_as("SELECT digest FROM documents WHERE kind = 'lock' ORDER BY digest")
                .fetch_all(&self.pool)
                .await?;
        rows.into_iter().map(|(digest,)| digest.parse().map_err(corrupt("digest"))).collect()
    }

    /// The bytes of the lock with this digest, as they were hashed.
    pub async fn lock_text(&self, digest: &Digest) -> Result<Option<String>> {
        self.document(digest, "lock").await
    }

    /// The bytes of the receipt with this digest, as they were hashed.
    pub async fn receipt_text(&self, digest: &Digest) -> Result<Option<String>> {
        self.document(digest, "receipt").await
    }

    async fn document(&self, digest: &Digest, kind: &str) -> Result<Option<String>> {
        let row: Option<(String,)> =
            sqlx::query_as("SELECT body FROM documents WHERE digest = $1 AND kind = $2")
                .bind(digest.to_string())
                .bind(kind)
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.map(|(body,)| body))
    }
}

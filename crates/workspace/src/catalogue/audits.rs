//! What audits found, and when.

use provenv_definition::Digest;

use super::holdings::index_audit;
use super::{Catalogue, Result, Turn, corrupt};
use crate::auditing::AuditReport;

impl Catalogue {
    /// Keeps a report.
    pub async fn keep_audit(&self, report: &AuditReport) -> Result<()> {
        let mut transaction = self.begin(&Turn::Audits).await?;
        sqlx::query("INSERT INTO audits (id, manifest, audited_at, body) VALUES ($1, $2, $3, $4)")
            .bind(&report.id)
            .bind(report.image.to_string())
            .bind(report.audited_at.to_string())
            .bind(serde_json::to_string(report).map_err(corrupt("audit"))?)
            .execute(&mut *transaction)
            .await?;
        index_audit(&mut transaction, report).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The reports on an image, newest first.
    pub async fn audits(&self, manifest: &Digest) -> Result<Vec<AuditReport>> {
        let rows: Vec<(String,)> =
            sqlx::query_as("SELECT body FROM audits WHERE manifest = $1 ORDER BY audited_at DESC, id DESC")
                .bind(manifest.to_string())
                .fetch_all(&self.pool)
                .await?;
        rows.iter().map(|(body,)| serde_json::from_str(body).map_err(corrupt("audit"))).collect()
    }
}

//! What packages say of themselves, by the digest of their artifact.

use provenv_definition::Digest;
use provenv_image::about::{About, Known};

use super::{Catalogue, Result, Turn, corrupt};

impl Catalogue {
    /// What is known of the packages with these artifacts.
    pub async fn abouts(&self, artifacts: &[Digest]) -> Result<Known> {
        let mut known = Known::new();
        let mut connection = self.pool.acquire().await?;
        for artifact in artifacts {
            let row: Option<(String,)> = sqlx::query_as("SELECT body FROM abouts WHERE artifact = $1")
                .bind(artifact.to_string())
                .fetch_optional(&mut *connection)
                .await?;
            // One that cannot be read is found out again.
            let about = row.and_then(|(body,)| serde_json::from_str::<About>(&body).ok());
            known.extend(about.map(|about| (*artifact, about)));
        }
        Ok(known)
    }

    /// Keeps what was read of packages here.
    pub async fn keep_abouts(&self, known: &Known) -> Result<()> {
        self.keep(known, "DO UPDATE SET body = excluded.body").await
    }

    /// Keeps what others told, of packages that nothing is known of.
    pub async fn keep_told_abouts(&self, known: &Known) -> Result<()> {
        self.keep(known, "DO NOTHING").await
    }

    async fn keep(&self, known: &Known, otherwise: &'static str) -> Result<()> {
        if known.is_empty() {
            return Ok(());
        }
        let mut transaction = self.begin(&Turn::Abouts).await?;
        for (artifact, about) in known {
            sqlx::query(sqlx::AssertSqlSafe(format!(
                "INSERT INTO abouts (artifact, body) VALUES ($1, $2) ON CONFLICT (artifact) {otherwise}"
            )))
            .bind(artifact.to_string())
            .bind(serde_json::to_string(about).map_err(corrupt("description of a package"))?)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

//! Images that are here or in a registry that they were found in, and the versions that locks and definitions are of: by index,
//! whatever else there is.

use provenv_definition::Digest;

use super::images::read;
use super::query::Query;
use super::{Catalogue, ImageRow, Result};

/// Which images.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// Those of a lock.
    Lock(&'a Digest),
    /// Those whose manifests have digests that begin with these hexadecimal digits.
    Digits(&'a str),
}

impl Catalogue {
    /// The images that are here, and those that only a registry has; the newest first.
    pub async fn known_images(&self, which: Which<'_>) -> Result<Vec<ImageRow>> {
        let mut query = Query::default();
        query
            .push("SELECT lock, platform, epoch, compression, layers, body, created_at FROM images i WHERE ");
        which.condition(&mut query, "i");
        query.push(
            " UNION ALL SELECT lock, platform, epoch, compression, layers, body, found_at AS created_at FROM remote_images r
             WHERE NOT EXISTS (SELECT 1 FROM images o WHERE o.lock = r.lock AND o.manifest = r.manifest) AND ",
        );
        which.condition(&mut query, "r");
        let rows = query.push(" ORDER BY created_at DESC").rows(&self.pool).await?;
        rows.iter().map(read).collect()
    }

    /// Whether a registry is known to have the image with this manifest.
    pub async fn is_in_a_registry(&self, manifest: &Digest) -> Result<bool> {
        let row: Option<(i64,)> = sqlx::query_as("SELECT 1 FROM remote_images WHERE manifest = $1 LIMIT 1")
            .bind(manifest.to_string())
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.is_some())
    }

    /// The registered versions that have a lock or a definition, as `name:version`: by name, the newest first.
    pub async fn names_of(&self, lock: Option<&Digest>, definition: Option<&Digest>) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for (column, digest) in [("lock", lock), ("definition", definition)] {
            let Some(digest) = digest else { continue };
            let rows: Vec<(String, String)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
                "SELECT name, version FROM environments WHERE {column} = $1 ORDER BY name, ordinal DESC"
            )))
            .bind(digest.to_string())
            .fetch_all(&self.pool)
            .await?;
            names.extend(rows.into_iter().map(|(name, version)| format!("{name}:{version}")));
        }
        Ok(names)
    }
}

impl Which<'_> {
    fn condition(self, query: &mut Query, table: &str) {
        match self {
            Self::Lock(lock) => {
                query.push(table).push(".lock = ").text(lock.to_string());
            }
            // No digit sorts behind this letter.
            Self::Digits(digits) => {
                query.push(table).push(".manifest >= ").text(format!("sha256:{digits}"));
                query.push(" AND ").push(table).push(".manifest < ").text(format!("sha256:{digits}g"));
            }
        }
    }
}

//! Secrets of workspaces, as rows. What is sealed in them is read elsewhere (`crate::secrets`), and nowhere shown.

use serde::Serialize;
use utoipa::ToSchema;

use super::audit::{Action, Deed, append};
use super::{Connection, Database, DatabaseError, Result, now, parse};

/// The turn of whoever seals: from the reading of the keys to the commit.
const TURN: &str = "secrets";

/// A secret, without what is secret of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Secret {
    /// What it is called.
    #[schema(example = "corporate-index")]
    pub name: String,
    /// The origin that it is for: a host, with its port where that is not the usual one; after `http://` where it may go in clear.
    #[schema(example = "packages.example")]
    pub host: String,
    /// When it was set.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: jiff::Timestamp,
    /// By whom.
    pub created_by: String,
}

/// A secret as it is kept.
#[derive(Clone)]
pub struct SealedSecret {
    /// Its workspace.
    pub workspace: String,
    /// What it is called.
    pub name: String,
    /// The host that it is for.
    pub host: String,
    /// What is sealed.
    pub sealed: String,
    /// With which key.
    pub key_id: String,
}

type SealedRow = (String, String, String, String, String);

const SEALED: &str = "SELECT workspace, name, host, sealed, key_id FROM secrets";

impl From<SealedRow> for SealedSecret {
    fn from((workspace, name, host, sealed, key_id): SealedRow) -> Self {
        Self { workspace, name, host, sealed, key_id }
    }
}

impl Database {
    /// Keeps a secret in the place of the one of its name. Gives the name of another for the same origin, if there is one, and
    /// keeps nothing then.
    ///
    /// `seal` is called when it is this secret's turn: nobody makes a new key between the reading of the key and the commit.
    pub async fn set_secret<E: From<DatabaseError>>(
        &self,
        (workspace, name, host): (&str, &str, &str),
        by: &str,
        seal: impl FnOnce() -> Result<SealedSecret, E> + Send,
    ) -> Result<Option<String>, E> {
        let mut transaction = self.begin(TURN).await?;
        let other: Option<(String,)> =
            sqlx::query_as("SELECT name FROM secrets WHERE workspace = $1 AND host = $2 AND name <> $3")
                .bind(workspace)
                .bind(host)
                .bind(name)
                .fetch_optional(&mut *transaction)
                .await
                .map_err(DatabaseError::from)?;
        if let Some((other,)) = other {
            return Ok(Some(other));
        }
        let secret = seal()?;
        let deed = Deed::new(by, Action::SecretSet, name).within(workspace).with("host", host);
        insert(&mut transaction, &secret, by, &deed).await?;
        transaction.commit().await.map_err(DatabaseError::from)?;
        Ok(None)
    }

    /// Removes a secret; says whether there was one.
    pub async fn remove_secret(&self, workspace: &str, name: &str, by: &str) -> Result<bool> {
        let mut transaction = self.begin(TURN).await?;
        let done = sqlx::query("DELETE FROM secrets WHERE workspace = $1 AND name = $2")
            .bind(workspace)
            .bind(name)
            .execute(&mut *transaction)
            .await?;
        let is_gone = done.rows_affected() > 0;
        if is_gone {
            let deed = Deed::new(by, Action::SecretRemove, name).within(workspace);
            append(&mut transaction, &deed).await?;
        }
        transaction.commit().await?;
        Ok(is_gone)
    }

    /// The secrets of a workspace, by name.
    pub async fn secrets(&self, workspace: &str) -> Result<Vec<Secret>> {
        let rows: Vec<(String, String, String, String)> = sqlx::query_as(
            "SELECT name, host, created_at, created_by FROM secrets WHERE workspace = $1 ORDER BY name",
        )
        .bind(workspace)
        .fetch_all(&self.pool)
        .await?;
        let secret = |(name, host, at, created_by)| {
            Ok(Secret { name, host, created_at: parse("time", at)?, created_by })
        };
        rows.into_iter().map(secret).collect()
    }

    /// The same, sealed.
    pub async fn sealed_secrets(&self, workspace: &str) -> Result<Vec<SealedSecret>> {
        let rows: Vec<SealedRow> =
            sqlx::query_as(sqlx::AssertSqlSafe(format!("{SEALED} WHERE workspace = $1")))
                .bind(workspace)
                .fetch_all(&self.pool)
                .await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// Seals secrets anew, all or none of those that `reseal` gives back, and says how many these are. It is given all that there
    /// are, when nobody else reads or writes the keys.
    pub async fn reseal_secrets<E: From<DatabaseError>>(
        &self,
        by: &str,
        reseal: impl FnOnce(&[SealedSecret]) -> Result<Vec<SealedSecret>, E> + Send,
    ) -> Result<usize, E> {
        let mut transaction = self.begin(TURN).await?;
        let rows: Vec<SealedRow> = sqlx::query_as(sqlx::AssertSqlSafe(SEALED.to_owned()))
            .fetch_all(&mut *transaction)
            .await
            .map_err(DatabaseError::from)?;
        let rows: Vec<SealedSecret> = rows.into_iter().map(Into::into).collect();
        let resealed = reseal(&rows)?;
        replace(&mut transaction, &resealed, by).await?;
        transaction.commit().await.map_err(DatabaseError::from)?;
        Ok(resealed.len())
    }
}

async fn insert(connection: &mut Connection, secret: &SealedSecret, by: &str, deed: &Deed) -> Result<()> {
    sqlx::query(
        "INSERT INTO secrets (workspace, name, host, sealed, key_id, created_at, created_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (workspace, name) DO UPDATE SET host = excluded.host, sealed = excluded.sealed,
             key_id = excluded.key_id, created_at = excluded.created_at, created_by = excluded.created_by",
    )
    .bind(&secret.workspace)
    .bind(&secret.name)
    .bind(&secret.host)
    .bind(&secret.sealed)
    .bind(&secret.key_id)
    .bind(now())
    .bind(by)
    .execute(&mut *connection)
    .await?;
    append(connection, deed).await
}

async fn replace(connection: &mut Connection, secrets: &[SealedSecret], by: &str) -> Result<()> {
    for secret in secrets {
        sqlx::query("UPDATE secrets SET sealed = $1, key_id = $2 WHERE workspace = $3 AND name = $4")
            .bind(&secret.sealed)
            .bind(&secret.key_id)
            .bind(&secret.workspace)
            .bind(&secret.name)
            .execute(&mut *connection)
            .await?;
    }
    append(connection, &Deed::new(by, Action::SecretRekey, "").with("secrets", secrets.len())).await
}

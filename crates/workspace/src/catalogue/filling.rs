//! Columns and tables that are made of what rows say in JSON: filled for the rows that an older version wrote.

use provenv_definition::{Digest, Environment};
use provenv_lock::Lock;

use super::describing::{index_tags, kind_of};
use super::holdings::{index_audit, index_lock};
use super::{Connection, Result, corrupt};

/// How many rows are read at once: a catalogue may hold a million.
const BATCH: i64 = 500;

/// The migration that makes the tables of what locks hold.
const HOLDINGS: usize = 10;

/// Fills what is not filled in a catalogue that had so many migrations before.
pub(super) async fn fill(connection: &mut Connection, done: usize) -> Result<()> {
    environments(&mut *connection).await?;
    if done < HOLDINGS {
        locks(&mut *connection).await?;
        audits(connection).await?;
    }
    Ok(())
}

/// Fills the kinds and tags of environments that have no kind.
async fn environments(connection: &mut Connection) -> Result<()> {
    loop {
        let rows: Vec<(String, String, String)> =
            sqlx::query_as("SELECT name, version, body FROM environments WHERE kind IS NULL LIMIT $1")
                .bind(BATCH)
                .fetch_all(&mut *connection)
                .await?;
        if rows.is_empty() {
            return Ok(());
        }
        for (name, version, body) in rows {
            let environment: Environment = serde_json::from_str(&body).map_err(corrupt("environment"))?;
            sqlx::query("UPDATE environments SET kind = $1 WHERE name = $2 AND version = $3")
                .bind(kind_of(&name, &environment))
                .bind(&name)
                .bind(&version)
                .execute(&mut *connection)
                .await?;
            index_tags(&mut *connection, &name, &version, &environment.tags).await?;
        }
    }
}

/// Enters what the locks hold. One that cannot be read holds nothing that could be found.
async fn locks(connection: &mut Connection) -> Result<()> {
    let mut last = String::new();
    loop {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT digest, body FROM documents WHERE kind = 'lock' AND digest > $1 ORDER BY digest LIMIT $2",
        )
        .bind(&last)
        .bind(BATCH)
        .fetch_all(&mut *connection)
        .await?;
        let Some((digest, _)) = rows.last() else { return Ok(()) };
        last.clone_from(digest);
        for (digest, body) in rows {
            let (Ok(digest), Ok(lock)) = (digest.parse::<Digest>(), Lock::from_bytes(body.as_bytes())) else {
                tracing::warn!(digest, "a lock in the catalogue cannot be read, and is not searched");
                continue;
            };
            index_lock(&mut *connection, &digest, &lock).await?;
        }
    }
}

/// Enters what audits found, the oldest first.
async fn audits(connection: &mut Connection) -> Result<()> {
    let rows: Vec<(String,)> =
        sqlx::query_as("SELECT id FROM audits ORDER BY audited_at, id").fetch_all(&mut *connection).await?;
    for (id,) in rows {
        let (body,): (String,) = sqlx::query_as("SELECT body FROM audits WHERE id = $1")
            .bind(&id)
            .fetch_one(&mut *connection)
            .await?;
        let Ok(report) = serde_json::from_str(&body) else {
            tracing::warn!(id, "an audit in the catalogue cannot be read, and is not searched");
            continue;
        };
        index_audit(&mut *connection, &report).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use provenv_definition::{Definition, Environment};

    use crate::catalogue::{
        Catalogue, Condition, Criteria, MIGRATIONS, NewEnvironment, Resolution, Same, Telling,
    };
    use crate::config::CatalogueSettings;

    #[tokio::test]
    async fn what_an_older_version_wrote_is_found_and_counted_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalogue.db");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let old = sqlx::SqlitePool::connect_with(options).await.unwrap();
        for migration in &MIGRATIONS[..8] {
            sqlx::raw_sql(*migration).execute(&old).await.unwrap();
        }
        sqlx::raw_sql("PRAGMA user_version = 8").execute(&old).await.unwrap();
        let digest = provenv_definition::Digest::of(b"something").to_string();
        sqlx::query("INSERT INTO documents (digest, kind, body) VALUES ($1, 'lock', '{}')")
            .bind(&digest)
            .execute(&old)
            .await
            .unwrap();
        for (ordinal, version) in [(1, "1"), (2, "9"), (3, "v1"), (4, "99999999999999999999")] {
            let environment = Environment {
                name: Some("tea".to_owned()),
                tags: [("place".to_owned(), version.to_owned())].into_iter().collect(),
                definition: Definition { user_managed: version == "9", ..Definition::default() },
                ..Environment::default()
            };
            sqlx::query(
                "INSERT INTO environments
                 (name, version, ordinal, content, definition, receipt, lock, body, created_at, created_by)
                 VALUES ('tea', $1, $2, $3, $3, $3, $3, $4, '2026-01-01T00:00:00Z', 'somebody')",
            )
            .bind(version)
            .bind(ordinal)
            .bind(&digest)
            .bind(serde_json::to_string(&environment).unwrap())
            .execute(&old)
            .await
            .unwrap();
        }
        old.close().await;

        let catalogue = Catalogue::open(folder.path(), &CatalogueSettings::default()).await.unwrap();
        let find = async |condition| {
            let criteria =
                Criteria { conditions: vec![condition], all_versions: true, ..Criteria::default() };
            let found = catalogue.find(&criteria).await.unwrap();
            found.into_iter().map(|found| found.row.version).collect::<Vec<_>>()
        };
        assert_eq!(find(Condition::Tag("place".to_owned(), Some("v1".to_owned()))).await, ["v1"]);
        assert_eq!(find(Condition::Kind("user-managed".to_owned())).await, ["9"]);
        assert_eq!(find(Condition::NameLike("t%".to_owned())).await.len(), 4);
        let history = catalogue.history("tea", None, None, 10).await.unwrap();
        let numbers: Vec<_> = history.iter().map(|change| (change.number, change.who.as_str())).collect();
        assert_eq!(numbers, [4, 3, 2, 1].map(|number| (number, "somebody")));
        let digest = provenv_definition::Digest::of(b"something");
        let new = NewEnvironment {
            name: "tea",
            version: None,
            content: provenv_definition::Digest::of(b"another"),
            definition: digest,
            resolution: Resolution::Given { receipt: digest, lock: digest },
            environment: &Environment::default(),
            created_by: "somebody",
            from: None,
            same: Same::Content,
            telling: Telling::Nobody,
        };
        let entered = catalogue.register(&new).await.unwrap();
        assert_eq!((entered.version.as_str(), entered.created), ("10", true));
        assert_eq!(catalogue.place("tea", "10").await.unwrap(), Some(5));
    }
}

//! The catalogue in a file of the workspace's folder.

use std::path::Path;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyPool, ConnectOptions as _, Connection as _, Executor as _};
use url::Url;

use super::{CatalogueError, Result, Schema};

/// A registered version must outlive a power cut, as the blobs it names do.
const SETTINGS: &str = "PRAGMA busy_timeout = 60000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                        PRAGMA foreign_keys = ON";

/// Opens the database at `path`, made and migrated where needed. Many processes may do so at once.
pub(super) async fn open(path: &Path, schema: &Schema) -> Result<AnyPool> {
    // SQLite would make it writable to nobody but its owner, whatever the umask; its other files take after this one.
    fs_err::OpenOptions::new().create(true).append(true).open(path).map_err(sqlx::Error::Io)?;
    let options = AnyConnectOptions::from_url(&url(path)?)?;
    // A pool tries again and again where a connection cannot be set, and hides why.
    let mut first = options.connect().await?;
    first.execute(sqlx::raw_sql(SETTINGS)).await?;
    first.close().await?;
    let pool = AnyPoolOptions::new()
        .max_connections(4)
        // A file does not go away.
        .test_before_acquire(false)
        // Where the disk is full, SQLite ends a transaction by itself; the connection would take it for open ever after.
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection.execute(sqlx::raw_sql(SETTINGS)).await?;
                Ok(())
            })
        })
        .connect_with(options)
        .await?;
    migrate(&pool, schema).await?;
    Ok(pool)
}

/// Everything in the path is encoded, its slashes and dots too, so that nothing in it means something in a URL.
fn url(path: &Path) -> Result<Url> {
    let path = percent_encode(path.as_os_str().as_encoded_bytes(), NON_ALPHANUMERIC);
    Url::parse(&format!("sqlite:{path}"))
        .map_err(|error| CatalogueError::Database(sqlx::Error::Configuration(error.into())))
}

/// The database's `user_version` says how many migrations are in.
async fn migrate(pool: &AnyPool, schema: &Schema) -> Result<()> {
    const VERSION: &str = "PRAGMA user_version";
    let (found,): (i64,) = sqlx::query_as(VERSION).fetch_one(pool).await?;
    if schema.known(found)? == schema.migrations.len() {
        return Ok(());
    }
    let mut transaction = pool.begin_with("BEGIN EXCLUSIVE").await?;
    // Another process may have migrated while this one waited.
    let (found,): (i64,) = sqlx::query_as(VERSION).fetch_one(&mut *transaction).await?;
    let done = schema.known(found)?;
    for migration in schema.migrations.iter().skip(done) {
        sqlx::raw_sql(*migration).execute(&mut *transaction).await?;
    }
    schema.fill(&mut transaction, done).await?;
    let set_version = sqlx::AssertSqlSafe(format!("PRAGMA user_version = {}", schema.migrations.len()));
    sqlx::raw_sql(set_version).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sqlx::any::AnyPoolOptions;

    use super::{open, url};
    use crate::catalogue::{MIGRATIONS, SCHEMA};

    #[tokio::test]
    async fn a_catalogue_of_every_older_schema_opens() {
        sqlx::any::install_default_drivers();
        let folder = tempfile::tempdir().unwrap();
        for older in 0..=MIGRATIONS.len() {
            let path = folder.path().join(format!("{older}.db"));
            fs_err::write(&path, "").unwrap();
            let pool = AnyPoolOptions::new().connect(url(&path).unwrap().as_str()).await.unwrap();
            for migration in &MIGRATIONS[..older] {
                sqlx::raw_sql(*migration).execute(&pool).await.unwrap();
            }
            let version = sqlx::AssertSqlSafe(format!("PRAGMA user_version = {older}"));
            sqlx::raw_sql(version).execute(&pool).await.unwrap();
            if older == 1 {
                let insert = "INSERT INTO documents VALUES ('d', 'lock', '{}');
                              INSERT INTO images VALUES ('d', 'linux/amd64', 1, 'm', '{}', 't')";
                sqlx::raw_sql(insert).execute(&pool).await.unwrap();
            }
            pool.close().await;

            let catalogue = open(&path, &SCHEMA).await.unwrap();
            let images: Vec<(String, i64)> =
                sqlx::query_as("SELECT compression, layers FROM images").fetch_all(&catalogue).await.unwrap();
            let kept = if older == 1 { vec![("gzip".to_owned(), 0)] } else { Vec::new() };
            assert_eq!(images, kept, "schema {older}");
            catalogue.close().await;
        }
    }

    #[tokio::test]
    async fn every_path_is_a_path() {
        sqlx::any::install_default_drivers();
        let folder = tempfile::tempdir().unwrap();
        for name in ["a b", "a%20b", "what?", "a#b", ":memory:", "ü"] {
            let folder = folder.path().join(name);
            fs_err::create_dir(&folder).unwrap();
            let path = folder.join("../").join(name).join("catalogue.db");
            open(&path, &SCHEMA).await.unwrap().close().await;
            assert!(fs_err::metadata(folder.join("catalogue.db")).unwrap().len() > 0, "{name}");
        }
        assert_eq!(url(Path::new("a/../b")).unwrap().as_str(), "sqlite:a%2F%2E%2E%2Fb");
    }

    #[tokio::test]
    async fn connections_keep_what_they_commit() {
        sqlx::any::install_default_drivers();
        let folder = tempfile::tempdir().unwrap();
        let catalogue = open(&folder.path().join("catalogue.db"), &SCHEMA).await.unwrap();
        for (setting, wanted) in [("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 60_000)] {
            let query = sqlx::AssertSqlSafe(format!("PRAGMA {setting}"));
            let (value,): (i64,) = sqlx::query_as(query).fetch_one(&catalogue).await.unwrap();
            assert_eq!(value, wanted, "{setting}");
        }
        let (mode,): (String,) = sqlx::query_as("PRAGMA journal_mode").fetch_one(&catalogue).await.unwrap();
        assert_eq!(mode, "wal");
    }
}

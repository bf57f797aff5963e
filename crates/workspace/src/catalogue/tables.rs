//! Other tables in the databases that catalogues are in: what a server has beside its workspaces.

use std::path::{Path, PathBuf};

use super::turn::lock;
use super::{CatalogueError, Database, Moments, Pool, Result, Schema, Writing, binding, postgres, sqlite};
use crate::config::ServerSettings;

/// Tables in a file of a folder, or in a schema of a PostgreSQL server.
#[derive(Clone, Debug)]
pub struct Tables {
    /// Where connections come from.
    pub pool: Pool,
    /// Which moment of them it is.
    pub moments: Moments,
    database: Database,
}

impl Tables {
    /// Opens the tables of the server in `root`, made and migrated where needed: in the database that the settings name, or
    /// else in `file` of its folder. Many processes may do so at once.
    ///
    /// `migrations` keep to what both databases take; texts and whole numbers are translated as the catalogue's are.
    pub async fn open(
        root: &Path,
        file: &str,
        migrations: &'static [&'static str],
        settings: &ServerSettings,
    ) -> Result<Self> {
        sqlx::any::install_default_drivers();
        let schema = Schema { what: "the server's database", migrations, is_catalogue: false };
        let file: PathBuf = root.join(file);
        let Some(url) = &settings.database else {
            binding::check_own(root, &file)?;
            let pool = sqlite::open(&file, &schema).await?;
            return Ok(Self { pool, moments: Moments::of_file(&file), database: Database::Sqlite });
        };
        if file.exists() {
            return Err(CatalogueError::TwoCatalogues { root: root.to_owned() });
        }
        let name = settings.own_schema();
        let (pool, id) = postgres::open(url, &name, &schema).await?;
        binding::bind(root, &id)?;
        let moments = Moments::of_server(postgres::beside(&pool));
        Ok(Self { pool, moments, database: Database::Postgres { schema: name } })
    }

    /// Whether they are in PostgreSQL, which other processes on other machines may have open too.
    pub fn is_postgres(&self) -> bool {
        matches!(self.database, Database::Postgres { .. })
    }

    /// Begins a transaction that reads and then writes. Two with the same name wait for each other, in whatever process.
    pub async fn begin(&self, name: &str) -> Result<Writing, sqlx::Error> {
        match &self.database {
            Database::Sqlite => self.pool.begin_with("BEGIN IMMEDIATE").await,
            Database::Postgres { schema } => {
                let mut transaction = self.pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
                lock(&mut transaction, schema, name).await?;
                Ok(transaction)
            }
        }
    }

    /// Writes what is pending and closes the database.
    pub async fn close(&self) {
        self.moments.close().await;
        self.pool.close().await;
    }
}

//! A copy of what a server has in PostgreSQL: by PostgreSQL's own programs, of the schemas of this server alone, all of them as
//! they are at one moment while others write.
//!
//! `pg_dump` reads what a transaction of ours exported, in which the workspaces were listed: the schema of each workspace that
//! the copy knows of is in it. `pg_restore` puts all in place in one transaction, or nothing.

use std::io;
use std::path::Path;
use std::process::Output;

use percent_encoding::percent_decode_str;
use provenv_workspace::Config;
use serde::{Deserialize, Serialize};
use sqlx::Connection as _;
use tokio::process::Command;
use url::Url;

/// Where the copy of a back-up is in its folder.
pub(crate) const FILE: &str = "database.pgdump";

/// What is in such a copy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dump {
    /// What the names of its schemas begin with.
    pub prefix: String,
    /// Its schemas: the server's own, where it is there, and one a workspace.
    pub schemas: Vec<String>,
}

/// Why there is no copy, or nothing was made of one.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// The database does not answer as it should.
    #[error("the database of the server could not be read")]
    Database(#[from] sqlx::Error),
    /// Its URL.
    #[error("the database of the server is not one of PostgreSQL: {0}")]
    Url(String),
    /// No database is named.
    #[error("the back-up has a database of PostgreSQL, and none is named to put it in")]
    Nowhere,
    /// Something that the server must have is not there.
    #[error("the database has no schema `{0}`")]
    Missing(String),
    /// It is not empty.
    #[error("the database has the schema `{0}` already")]
    Taken(String),
    /// Schemas have other names here.
    #[error("the back-up has schemas that begin with `{wanted}`, and the settings say `{said}`")]
    Prefix {
        /// The back-up's.
        wanted: String,
        /// That of the settings.
        said: String,
    },
    /// One of PostgreSQL's programs is not here.
    #[error("`{0}` is not here")]
    NoProgram(&'static str),
    /// It did not do it.
    #[error("`{program}` failed: {said}")]
    Failed {
        /// The program.
        program: &'static str,
        /// What it said.
        said: String,
    },
    /// It cannot be run.
    #[error("`{program}` cannot be run")]
    Run {
        /// The program.
        program: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl DumpError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Database(_) | Self::Run { .. } => return None,
            Self::Url(_) => {
                "`server.database` or PROVENV_SERVER_DATABASE is like postgres://USER@HOST:PORT/DATABASE"
            }
            Self::Nowhere => "name an empty one by `server.database` or PROVENV_SERVER_DATABASE",
            Self::Missing(_) => {
                "run it with the settings that the server has: PROVENV_CATALOGUE_SCHEMA and its databases, and the folder with --root"
            }
            Self::Taken(_) => "name an empty database: nothing in it is overwritten",
            Self::Prefix { .. } => "set `catalogue.schema` or PROVENV_CATALOGUE_SCHEMA to what it was",
            Self::NoProgram(_) => {
                "install PostgreSQL's client programs (Debian: postgresql-client), of the server's version or a newer one"
            }
            Self::Failed { said, .. }
                if said.contains("version mismatch") || said.contains("unsupported version") =>
            {
                "install client programs of the database server's version or a newer one (Debian: postgresql-client-VERSION)"
            }
            Self::Failed { .. } => {
                "the database is as it was; or copy it by other means, and the folder with --files-only"
            }
        };
        Some(text.to_owned())
    }
}

type Result<T, E = DumpError> = std::result::Result<T, E>;

/// The database that the settings name, if they name one.
pub(crate) fn url_of(config: &Config) -> Option<&str> {
    config.server.database.as_deref().or(config.catalogue.url.as_deref())
}

/// Copies the schemas of a server into a file. `folders`: the names of the workspaces' folders, for a server whose own database is
/// in its folder.
pub(crate) async fn dump(config: &Config, folders: &[String], file: &Path) -> Result<Dump> {
    let url = url_of(config).ok_or(DumpError::Nowhere)?;
    let access = Access::of(url)?;
    let prefix = config.catalogue.schema().to_owned();
    let mut connection = connect(url).await?;
    // All that is read until it ends is as it is now.
    let mut snapshot = connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
    let mut wanted = Vec::new();
    let names = if config.server.database.is_some() {
        let own = format!("{prefix}__server");
        let names = format!("SELECT name FROM \"{own}\".workspaces ORDER BY name");
        let names: Vec<(String,)> =
            sqlx::query_as(sqlx::AssertSqlSafe(names)).fetch_all(&mut *snapshot).await?;
        wanted.push(own);
        names.into_iter().map(|(name,)| name).collect()
    } else {
        folders.to_vec()
    };
    wanted.extend(names.iter().map(|name| schema(&prefix, name)));
    for schema in &wanted {
        if !is_there(&mut snapshot, schema).await? {
            return Err(DumpError::Missing(schema.clone()));
        }
    }
    let schemas = wanted;
    let (id,): (String,) = sqlx::query_as("SELECT pg_export_snapshot()").fetch_one(&mut *snapshot).await?;
    let mut command = access.command("pg_dump");
    command.args(["--format=custom", "--no-owner", "--no-privileges", "--strict-names"]);
    command.arg(format!("--snapshot={id}")).arg("--file").arg(file);
    command.args(schemas.iter().map(|schema| format!("--schema={schema}")));
    run("pg_dump", command).await?;
    snapshot.rollback().await?;
    Ok(Dump { prefix, schemas })
}

/// Puts a copy into the database that the settings name, all of it or nothing.
pub(crate) async fn restore(config: &Config, dump: &Dump, file: &Path) -> Result<()> {
    let url = url_of(config).ok_or(DumpError::Nowhere)?;
    let access = Access::of(url)?;
    let said = config.catalogue.schema();
    if said != dump.prefix {
        return Err(DumpError::Prefix { wanted: dump.prefix.clone(), said: said.to_owned() });
    }
    let mut connection = connect(url).await?;
    for schema in &dump.schemas {
        if is_there(&mut connection, schema).await? {
            return Err(DumpError::Taken(schema.clone()));
        }
    }
    connection.close().await?;
    let mut command = access.command("pg_restore");
    command.args(["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"]);
    command.arg(format!("--dbname={}", access.database)).arg(file);
    run("pg_restore", command).await
}

/// The schema of a workspace, as the server names it.
fn schema(prefix: &str, workspace: &str) -> String {
    format!("{prefix}_{}", workspace.replace('-', "_"))
}

async fn connect(url: &str) -> Result<sqlx::AnyConnection> {
    sqlx::any::install_default_drivers();
    Ok(sqlx::AnyConnection::connect(url).await?)
}

async fn is_there(connection: &mut sqlx::AnyConnection, schema: &str) -> Result<bool> {
    let (found,): (bool,) =
        sqlx::query_as("SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1)")
            .bind(schema)
            .fetch_one(connection)
            .await?;
    Ok(found)
}

async fn run(program: &'static str, mut command: Command) -> Result<()> {
    let output = match command.output().await {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(DumpError::NoProgram(program)),
        Err(source) => return Err(DumpError::Run { program, source }),
    };
    if output.status.success() {
        return Ok(());
    }
    Err(DumpError::Failed { program, said: said(&output) })
}

/// What a program said, on one line.
fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).take(6).collect();
    if lines.is_empty() { output.status.to_string() } else { lines.join("; ") }
}

/// How a database is reached, in the words of PostgreSQL's programs: by variables, because others see the arguments.
struct Access {
    variables: Vec<(&'static str, String)>,
    database: String,
}

impl Access {
    fn of(url: &str) -> Result<Self> {
        // The URL itself is not shown: it may hold a password.
        let url = Url::parse(url).map_err(|error| DumpError::Url(error.to_string()))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(DumpError::Url("it has to begin with `postgres://`".to_owned()));
        }
        let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let mut variables = Vec::new();
        let mut set = |name: &'static str, value: String| {
            if !value.is_empty() {
                variables.retain(|(known, _)| *known != name);
                variables.push((name, value));
            }
        };
        set("PGHOST", plain(url.host_str().unwrap_or_default()));
        set("PGPORT", url.port().map(|port| port.to_string()).unwrap_or_default());
        set("PGUSER", plain(url.username()));
        set("PGPASSWORD", plain(url.password().unwrap_or_default()));
        set("PGDATABASE", plain(url.path().trim_start_matches('/')));
        let mut options = String::new();
        for (key, value) in url.query_pairs() {
            let name = match &*key {
                "application_name" => "PGAPPNAME",
                "dbname" => "PGDATABASE",
                "host" => "PGHOST",
                "hostaddr" => "PGHOSTADDR",
                "password" => "PGPASSWORD",
                "port" => "PGPORT",
                "sslcert" => "PGSSLCERT",
                "sslkey" => "PGSSLKEY",
                "sslmode" => "PGSSLMODE",
                "sslrootcert" => "PGSSLROOTCERT",
                "user" => "PGUSER",
                "options" => {
                    options = format!("{options} {value}");
                    continue;
                }
                key => {
                    if let Some(name) = key.strip_prefix("options[").and_then(|key| key.strip_suffix(']')) {
                        options = format!("{options} -c {name}={value}");
                    }
                    continue;
                }
            };
            set(name, value.into_owned());
        }
        set("PGOPTIONS", options.trim().to_owned());
        let value =
            |wanted: &str| variables.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.clone());
        let of_process = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let database = value("PGDATABASE")
            .or_else(|| of_process("PGDATABASE"))
            .or_else(|| value("PGUSER"))
            .or_else(|| of_process("PGUSER"))
            .unwrap_or_else(|| "postgres".to_owned());
        Ok(Self { variables, database })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        // Nobody is asked anything.
        command.arg("--no-password").env("LC_ALL", "C").stdin(std::process::Stdio::null());
        command.envs(self.variables.iter().map(|(name, value)| (name, value))).kill_on_drop(true);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::Access;

    #[test]
    fn a_url_is_told_by_variables() {
        let url = "postgres://ann:s%40crt@%2Frun%2Fpg:5433/team?sslmode=require&options[statement_timeout]=9s&password=x";
        let Access { variables, database } = Access::of(url).unwrap_or_else(|error| panic!("{error}"));
        let value = |wanted: &str| {
            variables.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.as_str())
        };
        assert_eq!((value("PGHOST"), value("PGPORT")), (Some("/run/pg"), Some("5433")));
        assert_eq!((value("PGUSER"), value("PGPASSWORD")), (Some("ann"), Some("x")));
        assert_eq!((value("PGDATABASE"), &*database), (Some("team"), "team"));
        assert_eq!(value("PGSSLMODE"), Some("require"));
        assert_eq!(value("PGOPTIONS"), Some("-c statement_timeout=9s"));
        assert!(Access::of("mysql://ann@host/team").is_err());
    }
}

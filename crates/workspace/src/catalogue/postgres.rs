//! The catalogue in a schema of a PostgreSQL server, which several servers may share.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::postgres::{PgConnectOptions, PgDatabaseError};
use sqlx::{
    AnyConnection, AnyPool, AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _,
    SqlSafeStr as _,
};
use url::Url;

use super::turn::lock;
use super::{CatalogueError, Result, Schema};

/// How long the first connection may take. Those after it wait for a server that is started again.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a connection is taken to be there after it was used: under load, all are used again within it.
const FRESH: Duration = Duration::from_millis(10);

/// What a URL may say after its `?`.
const PARAMETERS: &[&str] = &[
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

/// Opens the tables in `schema` of the database at `url`, made and migrated where needed. Their identifier comes with them.
pub(super) async fn open(url: &str, schema: &str, tables: &Schema) -> Result<(AnyPool, String)> {
    check_schema(schema)?;
    let (options, place) = options(url)?;
    let cannot = |source| CatalogueError::Connect {
        what: tables.what,
        place: place.clone(),
        schema: schema.to_owned(),
        source,
    };
    // Compiling a statement that reads a page takes longer than the page.
    let enter = AssertSqlSafe(format!("SET search_path TO \"{schema}\"; SET jit TO off")).into_sql_str();

    // A pool would try for a while to connect, and say only that it took too long.
    let connecting = tokio::time::timeout(PATIENCE, options.connect());
    let mut connection = connecting.await.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(cannot)?;
    connection.execute(sqlx::raw_sql(enter.clone())).await.map_err(cannot)?;
    let id = match state(&mut connection).await.map_err(cannot)? {
        Some((found, id)) if tables.known(found)? == tables.migrations.len() => id,
        _ => match migrate(&mut connection, schema, tables).await {
            Err(CatalogueError::Database(source)) => return Err(cannot(source)),
            done => done?,
        },
    };
    // Errors at this point have nobody to hear them.
    let _ = connection.close().await;

    let pool = pool_options()
        .max_connections(4)
        .after_connect(move |connection, _| {
            let enter = enter.clone();
            Box::pin(async move {
                connection.execute(sqlx::raw_sql(enter)).await?;
                Ok(())
            })
        })
        .connect_lazy_with(options);
    Ok((pool, id))
}

/// A pool of one connection to the same server, for what is about all of it.
pub(super) fn beside(pool: &AnyPool) -> AnyPool {
    // Whoever asks goes on without an answer, and waits for a server that is away once.
    let options = pool_options().max_connections(1).acquire_timeout(Duration::from_secs(2));
    options.connect_lazy_with((*pool.connect_options()).clone())
}

/// What all pools have in common. Asking a connection whether it is still there takes as long as a statement: one that was used
/// just now is.
fn pool_options() -> AnyPoolOptions {
    AnyPoolOptions::new().test_before_acquire(false).before_acquire(|connection, about| {
        Box::pin(async move {
            if about.idle_for > FRESH {
                connection.ping().await?;
            }
            Ok(true)
        })
    })
}

/// The options that a URL stands for, and where it leads, without its credentials.
fn options(url: &str) -> Result<(AnyConnectOptions, String)> {
    let wrong = |why: String| CatalogueError::Setting { setting: "URL", why };
    // The URL itself is not shown: it may hold a password wherever it went wrong.
    let url = Url::parse(url).map_err(|error| wrong(error.to_string()))?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(wrong("it has to begin with `postgres://`".to_owned()));
    }
    for (key, _) in url.query_pairs() {
        let setting = key.starts_with("options[") && key.ends_with(']');
        if !setting && !PARAMETERS.contains(&&*key) {
            return Err(wrong(format!("nothing is known of its parameter `{key}`")));
        }
    }
    let failed = |error: sqlx::Error| match error {
        sqlx::Error::Configuration(source) => wrong(source.to_string()),
        error => CatalogueError::Database(error),
    };
    let native = PgConnectOptions::from_str(url.as_str()).map_err(failed)?;
    let host = match native.get_socket() {
        Some(folder) => folder.display().to_string(),
        None => format!("{}:{}", native.get_host(), native.get_port()),
    };
    let database = native.get_database().unwrap_or_else(|| native.get_username());
    Ok((AnyConnectOptions::from_url(&url)?, format!("{host}/{database}")))
}

/// A schema's name goes into statements that take no parameters.
fn check_schema(schema: &str) -> Result<()> {
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let fine = schema.len() <= 63
        && schema.chars().all(letters)
        && schema.starts_with(|c: char| !c.is_ascii_digit())
        && !schema.starts_with("pg_");
    if fine {
        return Ok(());
    }
    let why = format!(
        "`{schema}` has to be at most 63 of the characters a to z, 0 to 9 and _, and begin with neither a digit nor `pg_`"
    );
    Err(CatalogueError::Setting { setting: "schema", why })
}

/// How many migrations are in, and the catalogue's identifier; nothing where there is no catalogue yet.
async fn state(connection: &mut AnyConnection) -> Result<Option<(i64, String)>, sqlx::Error> {
    match sqlx::query_as("SELECT migrations, id FROM catalogue").fetch_one(connection).await {
        Err(error) if code(&error) == Some(UNDEFINED_TABLE) => Ok(None),
        state => state.map(Some),
    }
}

const UNDEFINED_TABLE: &str = "42P01";

/// The SQLSTATE of an error of PostgreSQL.
pub(crate) fn code(error: &sqlx::Error) -> Option<&str> {
    Some(error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?.code())
}

/// Makes the schema where it is missing and brings it up to date; many processes may want to at once.
async fn migrate(connection: &mut AnyConnection, schema: &str, tables: &Schema) -> Result<String> {
    let mut transaction = connection.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    lock(&mut transaction, schema, "schema").await?;
    let (there,): (bool,) = sqlx::query_as("SELECT to_regnamespace($1) IS NOT NULL")
        .bind(schema)
        .fetch_one(&mut *transaction)
        .await?;
    if !there {
        let create = AssertSqlSafe(format!("CREATE SCHEMA \"{schema}\""));
        transaction.execute(sqlx::raw_sql(create)).await?;
    }
    let (there,): (bool,) = sqlx::query_as("SELECT to_regclass($1) IS NOT NULL")
        .bind(format!("{schema}.catalogue"))
        .fetch_one(&mut *transaction)
        .await?;
    let (done, id) = if there {
        let (found, id) = state(&mut transaction).await?.ok_or(sqlx::Error::RowNotFound)?;
        (tables.known(found)?, id)
    } else {
        let table = "CREATE TABLE catalogue (migrations BIGINT NOT NULL, id TEXT NOT NULL);
                     INSERT INTO catalogue VALUES (0, gen_random_uuid()::TEXT)";
        transaction.execute(sqlx::raw_sql(table)).await?;
        let (_, id) = state(&mut transaction).await?.ok_or(sqlx::Error::RowNotFound)?;
        (0, id)
    };
    for migration in tables.migrations.iter().skip(done) {
        transaction.execute(sqlx::raw_sql(AssertSqlSafe(translated(migration)))).await?;
    }
    tables.fill(&mut transaction, done).await?;
    sqlx::query("UPDATE catalogue SET migrations = $1")
        .bind(i64::try_from(tables.migrations.len()).unwrap_or(i64::MAX))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(id)
}

/// A migration in the words of PostgreSQL. Texts are ordered by their bytes, as in SQLite, whatever the database's language
/// is: times, digests and the places where a list goes on are compared as texts. An INTEGER has 8 bytes in SQLite, and bytes are
/// a BLOB.
fn translated(migration: &str) -> String {
    let mut text = String::with_capacity(migration.len() * 2);
    for line in migration.lines() {
        let statement = line.split_once("--").map_or(line, |(statement, _)| statement);
        let statement = statement.replace(" TEXT", " TEXT COLLATE \"C\"");
        text.push_str(&statement.replace(" INTEGER", " BIGINT").replace(" BLOB", " BYTEA"));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{check_schema, options, translated};

    #[test]
    fn a_place_is_told_without_credentials() {
        for (url, place) in [
            ("postgres://user:secret@db.example:5433/team", "db.example:5433/team"),
            ("postgresql://user:secret@%2Frun%2Fpostgres/team?sslmode=disable", "/run/postgres/team"),
        ] {
            assert_eq!(options(url).unwrap().1, place);
        }
        for url in [
            "postgres://user:secret@host:port/team",
            "mysql://user:secret@host/team",
            "user:secret@host",
            "postgres://host/team?passwd=secret",
            "postgres://host/team?sslmode=secret-mode",
        ] {
            let error = options(url).err().unwrap();
            let told = format!("{error} {error:?}");
            assert!(!told.contains("secret@") && !told.contains("=secret"), "{told}");
        }
    }

    #[test]
    fn schemas_are_plain_names() {
        for (schema, fine) in [
            ("provenv", true),
            ("team_2", true),
            ("Team", false),
            ("a\"b", false),
            ("2a", false),
            ("pg_a", false),
        ] {
            assert_eq!(check_schema(schema).is_ok(), fine, "{schema}");
        }
        assert!(check_schema("").is_err());
    }

    #[test]
    fn texts_are_ordered_by_bytes() {
        let text = translated("a TEXT NOT NULL, -- a TEXT; more\nsize INTEGER\nbody BLOB\n");
        assert_eq!(text, "a TEXT COLLATE \"C\" NOT NULL, \nsize BIGINT\nbody BYTEA\n");
    }
}

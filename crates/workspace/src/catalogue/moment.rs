//! Which moment of a database it is: what was read before and what is kept of it holds as long as it is the same one.
//!
//! Two moments of a database are equal only where nobody committed anything in between, whichever process or machine they are on:
//! the database itself says so, and whoever writes need not do anything for it. SQLite counts the commits of all connections but
//! the one that asks (`PRAGMA data_version`), and the one that asks here writes nothing. PostgreSQL says which transactions a
//! statement sees: those that see the same ones see the same rows.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::OpenFlags;
use sqlx::AnyPool;

use super::query::{Field, Query};
use super::{AsyncWriter, Together};

/// A moment. One that was asked for of another [`Moments`] says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment(Seen);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Commits(i64),
    Transactions(Arc<str>),
}

/// The moments of a database. Clones share what asks for them.
#[derive(Clone, Debug)]
pub struct Moments(Arc<Source>);

#[derive(Debug)]
enum Source {
    File(Mutex<File>),
    Server { pool: AnyPool, asking: Together<(), Option<Moment>> },
}

/// A file that is looked at in place: it takes some microseconds, less than it takes to tell another thread.
#[derive(Debug)]
struct File {
    path: PathBuf,
    /// Opened when first needed: commands never do.
    open: Option<rusqlite::Connection>,
    is_closed: bool,
}

impl Moments {
    /// Those of a file of SQLite.
    pub(super) fn of_file(path: &Path) -> Self {
        let file = File { path: path.to_owned(), open: None, is_closed: false };
        Self(Arc::new(Source::File(Mutex::new(file))))
    }

    /// Those of a PostgreSQL server, by a pool of connections that do nothing else.
    pub(super) fn of_server(pool: AnyPool) -> Self {
        Self(Arc::new(Source::Server { pool, asking: Together::default() }))
    }

    /// The moment that it is, or one since this was asked; `None` where that cannot be told.
    ///
    /// Whoever asks PostgreSQL while a statement is on its way shares the next one with all others who do.
    pub async fn now(&self) -> Option<Moment> {
        match &*self.0 {
            Source::File(file) => file.lock().unwrap_or_else(PoisonError::into_inner).now(),
            Source::Server { pool, asking } => asking.write((), Asking(pool.clone())).await.flatten(),
        }
    }

    /// The rows of a statement that gives texts and reads few rows by their keys, in place; `None` where this is not the way to
    /// them, and another connection can say why.
    pub(super) fn texts(&self, query: &Query) -> Option<Vec<Texts>> {
        let Source::File(file) = &*self.0 else { return None };
        file.lock().unwrap_or_else(PoisonError::into_inner).texts(query).ok().flatten()
    }

    /// Closes what asks.
    pub(super) async fn close(&self) {
        match &*self.0 {
            Source::File(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                // The last one to close a file writes its log back, and this one may write nothing.
                (file.open, file.is_closed) = (None, true);
            }
            Source::Server { pool, .. } => pool.close().await,
        }
    }
}

/// A row.
pub(super) type Texts = Vec<Option<String>>;

impl File {
    fn texts(&mut self, query: &Query) -> rusqlite::Result<Option<Vec<Texts>>> {
        let Some(connection) = self.connection()? else { return Ok(None) };
        let (sql, values) = query.parts();
        // As the pools' connections tell of theirs.
        tracing::debug!(target: "sqlx::query", summary = sql, db.statement = "", "read in place");
        let mut statement = connection.prepare_cached(sql)?;
        for (place, value) in values.iter().enumerate() {
            match value {
                Field::Text(text) => statement.raw_bind_parameter(place + 1, text)?,
                Field::Number(number) => statement.raw_bind_parameter(place + 1, number)?,
                Field::Nothing => statement.raw_bind_parameter(place + 1, rusqlite::types::Null)?,
            }
        }
        let width = statement.column_count();
        let mut rows = statement.raw_query();
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            all.push((0..width).map(|column| row.get(column)).collect::<rusqlite::Result<_>>()?);
        }
        Ok(Some(all))
    }

    fn now(&mut self) -> Option<Moment> {
        let asked = self.ask();
        if let Err(error) = &asked {
            tracing::debug!(%error, path = %self.path.display(), "cannot tell whether a database changed");
            // Another one counts anew, from a number that this one may have given.
            self.is_closed = true;
            self.open = None;
        }
        asked.ok().flatten().map(|commits| Moment(Seen::Commits(commits)))
    }

    fn connection(&mut self) -> rusqlite::Result<Option<&rusqlite::Connection>> {
        if self.is_closed {
            return Ok(None);
        }
        if self.open.is_none() {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = rusqlite::Connection::open_with_flags(&self.path, flags)?;
            // Whoever asks does not wait: who has the whole file for itself is about to change it.
            connection.busy_timeout(std::time::Duration::ZERO)?;
            self.open = Some(connection);
        }
        Ok(self.open.as_ref())
    }

    fn ask(&mut self) -> rusqlite::Result<Option<i64>> {
        let Some(connection) = self.connection()? else { return Ok(None) };
        let asked = connection
            .prepare_cached("PRAGMA data_version")
            .and_then(|mut statement| statement.query_row([], |row| row.get(0)));
        match asked {
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => Ok(None),
            asked => asked.map(Some),
        }
    }
}

/// Asks PostgreSQL once for all who ask.
struct Asking(AnyPool);

impl AsyncWriter<(), Option<Moment>> for Asking {
    async fn write(&self, items: Vec<()>) -> Vec<Option<Moment>> {
        // Transactions of another server, or of one that was set back, may have the same numbers.
        let seen = "SELECT pg_current_snapshot()::TEXT || ' ' || pg_postmaster_start_time()::TEXT";
        let row: Result<(String,), sqlx::Error> = sqlx::query_as(seen).fetch_one(&self.0).await;
        let moment = row.ok().map(|(seen,)| Moment(Seen::Transactions(seen.into())));
        vec![moment; items.len()]
    }
}

//! The audit log, as rows: an entry is added in the transaction of the change that it tells of, where both are in this
//! database. What is signed, and what is served of it, is elsewhere (`crate::audit`).

mod together;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;

use provenv_ledger::{Entry, Hash, Node};
use provenv_workspace::Query;
use sqlx::Row as _;

use super::people::random;
pub(super) use together::append;
pub use together::{Deeds, Once, Outcome};

use super::{Connection, Database, DatabaseError, Result, parse};

/// What was done. The names never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "names are given once and for all, before what uses them")]
pub enum Action {
    /// A workspace was made.
    WorkspaceMake,
    /// Somebody has a role.
    RoleSet,
    /// Somebody has a role no more.
    RoleRemove,
    /// A token was made.
    TokenMake,
    /// A token holds no more.
    TokenRevoke,
    /// Somebody signed in.
    SignIn,
    /// A version was registered.
    Register,
    /// Description or tags of a version changed.
    Update,
    /// A label was put on a version.
    LabelSet,
    /// A label was taken away.
    LabelRemove,
    /// A version was archived.
    Archive,
    /// A version is back.
    Restore,
    /// A version was deleted.
    Delete,
    /// A version was copied: from another workspace, or to one.
    Copy,
    /// Many versions are about to be taken in.
    ImportBegin,
    /// An environment is in another workspace too, or another's in this one.
    Share,
    /// It is so no more.
    Unshare,
    /// Many versions were taken in.
    Import,
    /// A build was asked for.
    BuildAsk,
    /// A build was asked to stop.
    BuildCancel,
    /// A build ended.
    BuildEnd,
    /// A run began, somewhere.
    RunBegin,
    /// A run ended.
    RunEnd,
    /// A manifest was pushed.
    Push,
    /// A manifest or a blob was deleted.
    RegistryDelete,
    /// A secret was set.
    SecretSet,
    /// A secret was removed.
    SecretRemove,
    /// The key of the secrets was changed.
    SecretRekey,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 28] = [
        Self::WorkspaceMake,
        Self::RoleSet,
        Self::RoleRemove,
        Self::TokenMake,
        Self::TokenRevoke,
        Self::SignIn,
        Self::Register,
        Self::Update,
        Self::LabelSet,
        Self::LabelRemove,
        Self::Archive,
        Self::Restore,
        Self::Delete,
        Self::Copy,
        Self::ImportBegin,
        Self::Share,
        Self::Unshare,
        Self::Import,
        Self::BuildAsk,
        Self::BuildCancel,
        Self::BuildEnd,
        Self::RunBegin,
        Self::RunEnd,
        Self::Push,
        Self::RegistryDelete,
        Self::SecretSet,
        Self::SecretRemove,
        Self::SecretRekey,
    ];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WorkspaceMake => "workspace.make",
            Self::RoleSet => "role.set",
            Self::RoleRemove => "role.remove",
            Self::TokenMake => "token.make",
            Self::TokenRevoke => "token.revoke",
            Self::SignIn => "sign-in",
            Self::Register => "environment.register",
            Self::Update => "environment.update",
            Self::LabelSet => "label.set",
            Self::LabelRemove => "label.remove",
            Self::Archive => "environment.archive",
            Self::Restore => "environment.restore",
            Self::Delete => "environment.delete",
            Self::Copy => "environment.copy",
            Self::ImportBegin => "environment.import-begin",
            Self::Share => "environment.share",
            Self::Unshare => "environment.unshare",
            Self::Import => "environment.import",
            Self::BuildAsk => "build.ask",
            Self::BuildCancel => "build.cancel",
            Self::BuildEnd => "build.end",
            Self::RunBegin => "run.begin",
            Self::RunEnd => "run.end",
            Self::Push => "registry.push",
            Self::RegistryDelete => "registry.delete",
            Self::SecretSet => "secret.set",
            Self::SecretRemove => "secret.remove",
            Self::SecretRekey => "secret.rekey",
        }
    }
}

/// A change that is to be written down.
#[derive(Clone, Debug)]
pub struct Deed {
    by: String,
    action: Action,
    workspace: Option<String>,
    subject: String,
    details: BTreeMap<String, String>,
}

impl Deed {
    /// Somebody did something to something.
    pub fn new(by: &str, action: Action, subject: impl Into<String>) -> Self {
        Self {
            by: by.to_owned(),
            action,
            workspace: None,
            subject: short(subject.into()),
            details: BTreeMap::new(),
        }
    }

    /// In a workspace, whose readers may know of it.
    #[must_use]
    pub fn within(mut self, workspace: &str) -> Self {
        self.workspace = Some(workspace.to_owned());
        self
    }

    /// What else is to be known. Never a secret.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        if self.details.len() == MOST {
            return self;
        }
        self.details.insert(short(name.to_owned()), short(value.to_string()));
        self
    }
}

/// An entry, as it is kept.
#[derive(Clone, Debug)]
pub struct AuditRow {
    /// Which.
    pub number: u64,
    /// The workspace that it is filed under.
    pub workspace: Option<String>,
    /// The bytes that were hashed.
    pub text: String,
}

/// Which entries are looked for.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Only those of a workspace.
    pub workspace: Option<String>,
    /// Only those of a user.
    pub by: Option<String>,
    /// Only those that did this.
    pub action: Option<String>,
    /// Only those before this one.
    pub before: Option<u64>,
}

impl Database {
    /// What the log is called; it begins where there is none.
    pub async fn begin_audit_log(&self) -> Result<String> {
        sqlx::query(
            "INSERT INTO audit_head (only_one, origin, size) VALUES (1, $1, 0) ON CONFLICT (only_one) DO NOTHING",
        )
        .bind(format!("provenv-server/{}", unguessable::<8>()?))
        .execute(&self.pool)
        .await?;
        let (origin,): (String,) =
            sqlx::query_as("SELECT origin FROM audit_head").fetch_one(&self.pool).await?;
        Ok(origin)
    }

    /// Writes down what was done elsewhere than in this database.
    pub async fn record(&self, deed: &Deed) -> Result<()> {
        self.add(vec![Deeds { all: vec![deed.clone()], once: Once::No }]).await
    }

    /// How many entries there are.
    pub async fn audit_size(&self) -> Result<u64> {
        let (size,): (i64,) = sqlx::query_as("SELECT size FROM audit_head").fetch_one(&self.pool).await?;
        unsigned(size)
    }

    /// Writes down how a version came to be, and what goes with that, unless it was written down: by whoever was quicker, on
    /// whichever server. The first of `deeds` says it; all have their places one after the other.
    pub async fn record_once(&self, deeds: Vec<Deed>) -> Result<()> {
        self.add(vec![Deeds { all: deeds, once: Once::Version }]).await
    }

    /// Whether it was written down how a version came to be.
    pub async fn is_recorded(&self, workspace: &str, subject: &str) -> Result<bool> {
        let mut connection = self.pool.acquire().await?;
        let subject = short(subject.to_owned());
        Ok(!told(&mut connection, workspace, &[&subject]).await?.is_empty())
    }

    /// Entries, the newest first.
    pub async fn audit_entries(&self, filter: &AuditFilter, limit: u32) -> Result<Vec<AuditRow>> {
        let before = filter.before.and_then(|before| i64::try_from(before).ok()).unwrap_or(i64::MAX);
        // A condition that is not there costs nothing; one that is always true would cost the index.
        let mut conditions = String::new();
        let wanted = [("workspace", &filter.workspace), ("actor", &filter.by), ("action", &filter.action)];
        let mut values = Vec::new();
        for (column, value) in wanted {
            if let Some(value) = value {
                values.push(value);
                let _ = write!(conditions, " AND {column} = ${}", values.len() + 2);
            }
        }
        let text = format!(
            "SELECT number, workspace, text FROM audit_entries WHERE number < $1{conditions}
             ORDER BY number DESC LIMIT $2"
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(text)).bind(before).bind(i64::from(limit));
        for value in values {
            query = query.bind(value);
        }
        let rows = query.fetch_all(&self.pool).await?;
        rows.iter()
            .map(|row| {
                Ok(AuditRow {
                    number: unsigned(row.try_get("number")?)?,
                    workspace: row.try_get("workspace")?,
                    text: row.try_get("text")?,
                })
            })
            .collect()
    }

    /// The hashes of these nodes, as far as they are there.
    pub async fn audit_nodes(&self, nodes: &[Node]) -> Result<HashMap<Node, Hash>> {
        let mut connection = self.pool.acquire().await?;
        hashes(&mut connection, nodes).await
    }
}

/// The detail that tells a copy that came from one that went.
pub const CAME_FROM: &str = "from";

/// Of which of these versions of a workspace, by subject, an entry says how they came to be: that they were registered, or that they
/// were copied from elsewhere. By the index of subjects, whatever the length of the log.
async fn told(connection: &mut Connection, workspace: &str, subjects: &[&str]) -> Result<HashSet<String>> {
    let mut query = Query::of(connection);
    query.push("SELECT subject, action, text FROM audit_entries WHERE workspace = ").text(workspace);
    query.push(" AND action").among(&[Action::Register.as_str(), Action::Copy.as_str()]);
    query.push(" AND subject").among(subjects);
    let mut told = HashSet::new();
    for row in query.rows(&mut *connection).await? {
        let (action, text): (String, String) = (row.try_get("action")?, row.try_get("text")?);
        // What was changed by other means says nothing.
        let came = || {
            let entry: Option<Entry> = serde_json::from_str(&text).ok();
            entry.is_some_and(|entry| entry.details.contains_key(CAME_FROM))
        };
        if action == Action::Register.as_str() || came() {
            told.insert(row.try_get("subject")?);
        }
    }
    Ok(told)
}

/// How many entries of one thing are looked through for one that says the same.
const RECENT: i64 = 100;

/// Whether an entry says this already.
async fn is_said(connection: &mut Connection, deed: &Deed) -> Result<bool> {
    let rows: Vec<(String,)> = sqlx::query_as(
        "SELECT text FROM audit_entries WHERE workspace = $1 AND action = $2 AND subject = $3
         ORDER BY number DESC LIMIT $4",
    )
    .bind(deed.workspace.as_deref())
    .bind(deed.action.as_str())
    .bind(&deed.subject)
    .bind(RECENT)
    .fetch_all(connection)
    .await?;
    let entries = rows.iter().filter_map(|(text,)| serde_json::from_str::<Entry>(text).ok());
    Ok(entries.into_iter().any(|entry| entry.details == deed.details))
}

/// Reads nodes, as far as they are there.
async fn hashes(connection: &mut Connection, nodes: &[Node]) -> Result<HashMap<Node, Hash>> {
    if nodes.is_empty() {
        return Ok(HashMap::new());
    }
    let keys: Vec<[String; 2]> =
        nodes.iter().map(|node| [node.level.to_string(), node.place.to_string()]).collect();
    let mut query = Query::of(connection);
    query.push("SELECT v.place AS asked, n.hash FROM ").table("v", ["level", "node"], &keys);
    query.push(
        " JOIN audit_nodes n ON n.level = CAST(v.level AS BIGINT) AND n.place = CAST(v.node AS BIGINT)",
    );
    let mut found = HashMap::new();
    for row in query.rows(&mut *connection).await? {
        let asked: i64 = row.try_get("asked")?;
        if let Some(node) = usize::try_from(asked).ok().and_then(|asked| nodes.get(asked)) {
            found.insert(*node, parse("hash", row.try_get("hash")?)?);
        }
    }
    Ok(found)
}

/// The most characters of a text: a bundle of entries takes none of more than 65,535 bytes.
const LONGEST: usize = 500;
/// The most details.
const MOST: usize = 20;

fn short(text: String) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Random letters.
pub fn unguessable<const BYTES: usize>() -> Result<String> {
    let mut bytes = [0; BYTES];
    random(&mut bytes).map_err(sqlx::Error::Io)?;
    Ok(hex::encode(bytes))
}

/// As many of them as there are entries, each of sixteen bytes.
fn salts(count: usize) -> Result<Vec<String>> {
    let mut bytes = vec![0; count * 16];
    random(&mut bytes).map_err(sqlx::Error::Io)?;
    Ok(bytes.chunks(16).map(hex::encode).collect())
}

fn unsigned(number: i64) -> Result<u64> {
    let wrong = |_| DatabaseError::Corrupt { what: "number", value: number.to_string() };
    u64::try_from(number).map_err(wrong)
}

fn signed(number: u64) -> Result<i64> {
    let wrong = |_| DatabaseError::Corrupt { what: "number", value: number.to_string() };
    i64::try_from(number).map_err(wrong)
}

//! The audit log, as rows: an entry is added in the transaction of the change that it tells of, where both are in this
//! database. What is signed, and what is served of it, is elsewhere (`crate::audit`).

mod together;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;

use futures::TryStreamExt as _;
use provenv_ledger::{Entry, Hash, Node, siblings};
use sqlx::Row as _;

use super::people::random;
pub use together::{Deeds, Outcome};

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
        self.add(Deeds { all: vec![deed.clone()], once: false }).await?;
        Ok(())
    }

    /// How many entries there are.
    pub async fn audit_size(&self) -> Result<u64> {
        let (size,): (i64,) = sqlx::query_as("SELECT size FROM audit_head").fetch_one(&self.pool).await?;
        unsigned(size)
    }

    /// Writes down how a version came to be, and what goes with that, unless it was written down: by whoever was quicker, on
    /// whichever server. The first of `deeds` says it; all have their places one after the other. Says whether it did.
    pub async fn record_once(&self, deeds: &[Deed]) -> Result<bool> {
        self.add(Deeds { all: deeds.to_vec(), once: true }).await
    }

    /// Whether it was written down how a version came to be.
    pub async fn is_recorded(&self, workspace: &str, subject: &str) -> Result<bool> {
        let mut connection = self.pool.acquire().await?;
        let subject = short(subject.to_owned());
        Ok(!told(&mut connection, &[(workspace, &subject)]).await?.is_empty())
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

/// Of which of these versions, by workspace and subject, an entry says how they came to be: that they were registered, or that they
/// were copied from elsewhere. By the index of subjects, whatever the length of the log.
async fn told(connection: &mut Connection, versions: &[(&str, &str)]) -> Result<HashSet<usize>> {
    if versions.is_empty() {
        return Ok(HashSet::new());
    }
    let mut text = String::new();
    for place in 0..versions.len() {
        let union = if place == 0 { "" } else { " UNION ALL " };
        let _ = write!(
            text,
            "{union}SELECT CAST({place} AS BIGINT), action, text FROM audit_entries
             WHERE workspace = ${} AND action IN ($1, $2) AND subject = ${}",
            2 * place + 3,
            2 * place + 4,
        );
    }
    let mut query = sqlx::query_as(sqlx::AssertSqlSafe(text));
    query = query.bind(Action::Register.as_str()).bind(Action::Copy.as_str());
    for (workspace, subject) in versions {
        query = query.bind(workspace.to_string()).bind(subject.to_string());
    }
    let mut rows = query.fetch(connection);
    let mut told = HashSet::new();
    while let Some((place, action, text)) = rows.try_next().await? {
        let (place, action, text): (i64, String, String) = (place, action, text);
        // What was changed by other means says nothing.
        let came = || {
            let entry: Option<Entry> = serde_json::from_str(&text).ok();
            entry.is_some_and(|entry| entry.details.contains_key(CAME_FROM))
        };
        if action == Action::Register.as_str() || came() {
            told.extend(usize::try_from(place));
        }
    }
    Ok(told)
}

/// Adds an entry to the log. The last thing that a transaction does: whoever adds another waits until it ends.
pub(super) async fn append(connection: &mut Connection, deed: &Deed) -> Result<()> {
    let (size,): (i64,) = sqlx::query_as("UPDATE audit_head SET size = size + 1 RETURNING size")
        .fetch_one(&mut *connection)
        .await?;
    let number = unsigned(size - 1)?;
    let entry = Entry {
        number,
        at: jiff::Timestamp::now(),
        by: deed.by.clone(),
        action: deed.action.as_str().to_owned(),
        workspace: deed.workspace.clone(),
        subject: deed.subject.clone(),
        details: deed.details.clone(),
        salt: unguessable::<16>()?,
    };
    let text = entry.to_text().map_err(|error| sqlx::Error::Encode(error.into()))?;
    let beside = siblings(number);
    let known = hashes(connection, &beside).await?;
    let mut hash = Hash::leaf(text.as_bytes());
    let mut node = Node { level: 0, place: number };
    insert(connection, node, hash).await?;
    for sibling in beside {
        let left = known.get(&sibling).ok_or_else(|| DatabaseError::Corrupt {
            what: "hash of the audit log",
            value: format!("{}/{} is missing", sibling.level, sibling.place),
        })?;
        hash = Hash::inner(left, &hash);
        node = Node { level: node.level + 1, place: node.place / 2 };
        insert(connection, node, hash).await?;
    }
    sqlx::query(
        "INSERT INTO audit_entries (number, workspace, actor, action, subject, text) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(signed(number)?)
    .bind(entry.workspace)
    .bind(entry.by)
    .bind(entry.action)
    .bind(entry.subject)
    .bind(text)
    .execute(&mut *connection)
    .await?;
    Ok(())
}

async fn insert(connection: &mut Connection, node: Node, hash: Hash) -> Result<()> {
    sqlx::query("INSERT INTO audit_nodes (level, place, hash) VALUES ($1, $2, $3)")
        .bind(i64::from(node.level))
        .bind(signed(node.place)?)
        .bind(hash.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

/// Reads nodes level by level, each level's in one stretch: those of a tile stand side by side.
async fn hashes(connection: &mut Connection, nodes: &[Node]) -> Result<HashMap<Node, Hash>> {
    let mut found = HashMap::new();
    let mut stretches: Vec<(u8, u64, u64)> = Vec::new();
    for node in nodes {
        match stretches.last_mut() {
            Some((level, _, last)) if *level == node.level && *last + 1 == node.place => *last = node.place,
            _ => stretches.push((node.level, node.place, node.place)),
        }
    }
    for (level, first, last) in stretches {
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "SELECT place, hash FROM audit_nodes WHERE level = $1 AND place BETWEEN $2 AND $3",
        )
        .bind(i64::from(level))
        .bind(signed(first)?)
        .bind(signed(last)?)
        .fetch_all(&mut *connection)
        .await?;
        for (place, hash) in rows {
            found.insert(Node { level, place: unsigned(place)? }, parse("hash", hash)?);
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
fn unguessable<const BYTES: usize>() -> Result<String> {
    let mut bytes = [0; BYTES];
    random(&mut bytes).map_err(sqlx::Error::Io)?;
    Ok(hex::encode(bytes))
}

fn unsigned(number: i64) -> Result<u64> {
    let wrong = |_| DatabaseError::Corrupt { what: "number", value: number.to_string() };
    u64::try_from(number).map_err(wrong)
}

fn signed(number: u64) -> Result<i64> {
    let wrong = |_| DatabaseError::Corrupt { what: "number", value: number.to_string() };
    i64::try_from(number).map_err(wrong)
}

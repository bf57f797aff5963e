//! Who may do what: tokens, roles, workspaces.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read as _};
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use provenv_definition::Digest;
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use utoipa::ToSchema;

use super::audit::{Action, Deed, append};
use super::{Connection, Database, Result, Row, now, parse, stamp};

/// What every token begins with, so that scanners for secrets know one.
pub(super) const MARK: &str = "pvt_";
/// How many characters of a token people may see.
const SHOWN: usize = 12;
/// The name of the server itself where roles are kept.
pub(super) const EVERYWHERE: &str = "*";

/// How far somebody may go in a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads and pulls.
    Reader,
    /// Registers, builds, pushes.
    Contributor,
    /// Says who may do what.
    Owner,
}

impl Role {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Contributor => "contributor",
            Self::Owner => "owner",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Reader, Self::Contributor, Self::Owner]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(())
    }
}

/// What a token may at the most, whatever its user may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// In this workspace alone.
    pub workspace: Option<String>,
    /// No more than this.
    pub role: Option<Role>,
}

impl Scope {
    /// Whether it is less than all that the user may.
    pub fn is_narrow(&self) -> bool {
        self.workspace.is_some() || self.role.is_some()
    }

    /// What is left of a role in a workspace, or on the server as a whole.
    pub(super) fn limit(&self, role: Option<Role>, workspace: Option<&str>) -> Option<Role> {
        if self.workspace.is_some() && self.workspace.as_deref() != workspace {
            return None;
        }
        role.map(|role| self.role.map_or(role, |most| role.min(most)))
    }
}

/// Whoever sent a request.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The user.
    pub user: String,
    /// The token that it came with, or that the session was begun with.
    pub token: Option<String>,
    /// What it may at the most.
    pub scope: Scope,
}

/// A token, without the secret.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Token {
    /// Its identifier.
    #[schema(example = "3f6c2a9b1d4e")]
    pub id: String,
    /// Whose it is.
    #[schema(example = "ann")]
    pub user: String,
    /// Its first characters.
    #[schema(example = "pvt_Zk3xQ9aB")]
    pub prefix: String,
    /// What it is for.
    pub note: String,
    /// The workspace that it is for, where it is for one alone.
    #[schema(example = "vision")]
    pub workspace: Option<String>,
    /// The role that it has at the most, where that may be less than its user's.
    pub role: Option<Role>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: jiff::Timestamp,
    /// When it ends by itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<jiff::Timestamp>,
    /// When it was ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<jiff::Timestamp>,
    /// When it was last used, to the minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub used_at: Option<jiff::Timestamp>,
}

/// A token that was made just now: the only time that its secret is known.
#[derive(Clone, Serialize, ToSchema)]
pub struct NewToken {
    /// The token itself, to be kept: it is not shown again.
    #[schema(example = "pvt_Zk3xQ9aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789A")]
    pub secret: String,
    /// All else.
    #[serde(flatten)]
    pub token: Token,
}

/// Whoever changes who may do what waits for whoever else does.
const TURN: &str = "people";

const COLUMNS: &str =
    "id, user_name, prefix, note, workspace, role, created_at, expires_at, revoked_at, used_at";

impl Token {
    /// Whether it is for less than its user may, or for a while.
    fn is_limited(&self) -> bool {
        self.workspace.is_some() || self.role.is_some() || self.expires_at.is_some()
    }
}

impl Database {
    /// Makes a token for a user; `by` is who does.
    pub async fn make_token(
        &self,
        user: &str,
        note: &str,
        scope: &Scope,
        expires_at: Option<jiff::Timestamp>,
        by: &str,
    ) -> Result<NewToken> {
        let mut transaction = self.begin(TURN).await?;
        let new = enter(&mut transaction, (user, note), scope, expires_at, (by, None)).await?;
        transaction.commit().await?;
        Ok(new)
    }

    /// The same with another token, which may be for less than its user or for a while: then the new one ends with it. `None` where
    /// it has ended itself.
    pub async fn make_token_with(
        &self,
        parent: &Token,
        (user, note): (&str, &str),
        scope: &Scope,
        expires_at: Option<jiff::Timestamp>,
        by: &str,
    ) -> Result<Option<NewToken>> {
        let mut transaction = self.begin(TURN).await?;
        // In this turn nobody else ends it.
        let holds: Option<(String,)> = sqlx::query_as(
            "SELECT id FROM tokens WHERE id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)",
        )
        .bind(&parent.id)
        .bind(now())
        .fetch_optional(&mut *transaction)
        .await?;
        if holds.is_none() {
            return Ok(None);
        }
        let parent = parent.is_limited().then_some(&*parent.id);
        let new = enter(&mut transaction, (user, note), scope, expires_at, (by, parent)).await?;
        transaction.commit().await?;
        Ok(Some(new))
    }

    /// A token by its identifier.
    pub async fn token(&self, id: &str) -> Result<Option<Token>> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM tokens WHERE id = $1")))
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// The tokens of a user, or of all, newest first.
    pub async fn tokens(&self, user: Option<&str>) -> Result<Vec<Token>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM tokens WHERE $1 IS NULL OR user_name = $1 ORDER BY created_at DESC, id"
        )))
        .bind(user)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read).collect()
    }

    /// Ends a token, and those that end with it; `user` says whose it must be, and `by` who ends it. Says whether there was one.
    pub async fn revoke(&self, id: &str, user: Option<&str>, by: &str) -> Result<bool> {
        let mut transaction = self.begin(TURN).await?;
        let found: Option<(String, Option<String>)> = sqlx::query_as(
            "SELECT user_name, revoked_at FROM tokens WHERE id = $1 AND ($2 IS NULL OR user_name = $2)",
        )
        .bind(id)
        .bind(user)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some((whose, revoked_at)) = found else { return Ok(false) };
        if revoked_at.is_none() {
            end(&mut transaction, id, Deed::new(by, Action::TokenRevoke, whose)).await?;
        }
        // What was made with it, and with that: one that ended by itself has none that goes on.
        let mut ended = vec![id.to_owned()];
        while let Some(parent) = ended.pop() {
            let children: Vec<(String, String)> =
                sqlx::query_as("SELECT id, user_name FROM tokens WHERE parent = $1 AND revoked_at IS NULL")
                    .bind(&parent)
                    .fetch_all(&mut *transaction)
                    .await?;
            for (child, whose) in children {
                let deed = Deed::new(by, Action::TokenRevoke, whose).with("parent", &parent);
                end(&mut transaction, &child, deed).await?;
                ended.push(child);
            }
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// What whoever sent a request may in a workspace, or on the server as a whole.
    pub async fn role_of(&self, identity: &Identity, workspace: Option<&str>) -> Result<Option<Role>> {
        Ok(identity.scope.limit(self.role(&identity.user, workspace).await?, workspace))
    }

    /// What a user may in a workspace, or on the server as a whole, given or by groups.
    async fn role(&self, user: &str, workspace: Option<&str>) -> Result<Option<Role>> {
        let rows: Vec<(String,)> = sqlx::query_as(
            "SELECT role FROM roles WHERE user_name = $1 AND workspace IN ($2, $3)
             UNION SELECT role FROM group_roles WHERE user_name = $1 AND workspace IN ($2, $3)",
        )
        .bind(user)
        .bind(EVERYWHERE)
        .bind(workspace.unwrap_or(EVERYWHERE))
        .fetch_all(&self.pool)
        .await?;
        let mut roles: Vec<Role> =
            rows.into_iter().map(|(role,)| parse("role", role)).collect::<Result<_>>()?;
        roles.sort_unstable();
        Ok(roles.pop())
    }

    /// Gives somebody a role in a workspace, or on the server as a whole; `None` takes it away. `by` is who does.
    pub async fn set_role(
        &self,
        user: &str,
        workspace: Option<&str>,
        role: Option<Role>,
        by: &str,
    ) -> Result<()> {
        let place = workspace.unwrap_or(EVERYWHERE);
        let mut transaction = self.begin(TURN).await?;
        let done = match role {
            Some(role) => {
                sqlx::query(
                    "INSERT INTO roles (workspace, user_name, role) VALUES ($1, $2, $3)
                     ON CONFLICT (workspace, user_name) DO UPDATE SET role = excluded.role
                     WHERE roles.role <> excluded.role",
                )
                .bind(place)
                .bind(user)
                .bind(role.as_str())
                .execute(&mut *transaction)
                .await?
            }
            None => {
                sqlx::query("DELETE FROM roles WHERE workspace = $1 AND user_name = $2")
                    .bind(place)
                    .bind(user)
                    .execute(&mut *transaction)
                    .await?
            }
        };
        if done.rows_affected() > 0 {
            let deed = match role {
                Some(role) => Deed::new(by, Action::RoleSet, user).with("role", role),
                None => Deed::new(by, Action::RoleRemove, user),
            };
            let deed = match workspace {
                Some(workspace) => deed.within(workspace),
                None => deed,
            };
            append(&mut transaction, &deed).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Those who have a role in a workspace itself, by name.
    pub async fn members(&self, workspace: &str) -> Result<Vec<(String, Role)>> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT user_name, role FROM roles WHERE workspace = $1
             UNION SELECT user_name, role FROM group_roles WHERE workspace = $1",
        )
        .bind(workspace)
        .fetch_all(&self.pool)
        .await?;
        // Of one that is given and one by groups, the higher one holds.
        let mut members: BTreeMap<String, Role> = BTreeMap::new();
        for (user, role) in rows {
            let role: Role = parse("role", role)?;
            members.entry(user).and_modify(|known| *known = role.max(*known)).or_insert(role);
        }
        Ok(members.into_iter().collect())
    }

    /// Puts a workspace on record; says whether it is new.
    pub async fn add_workspace(&self, name: &str, by: &str) -> Result<bool> {
        let mut transaction = self.begin(TURN).await?;
        let done = sqlx::query(
            "INSERT INTO workspaces (name, created_at, created_by) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
        )
        .bind(name)
        .bind(now())
        .bind(by)
        .execute(&mut *transaction)
        .await?;
        let is_new = done.rows_affected() > 0;
        if is_new {
            append(&mut transaction, &Deed::new(by, Action::WorkspaceMake, name).within(name)).await?;
        }
        transaction.commit().await?;
        Ok(is_new)
    }

    /// The names of all workspaces.
    pub async fn workspaces(&self) -> Result<Vec<String>> {
        let rows: Vec<(String,)> =
            sqlx::query_as("SELECT name FROM workspaces ORDER BY name").fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(|(name,)| name).collect())
    }
}

/// Ends a token.
async fn end(connection: &mut Connection, id: &str, deed: Deed) -> Result<()> {
    sqlx::query("UPDATE tokens SET revoked_at = $1 WHERE id = $2")
        .bind(now())
        .bind(id)
        .execute(&mut *connection)
        .await?;
    append(connection, &deed.with("token", id)).await
}

/// Enters a new token. `by` made it, with the token `parent` where it ends with that.
async fn enter(
    connection: &mut Connection,
    (user, note): (&str, &str),
    scope: &Scope,
    expires_at: Option<jiff::Timestamp>,
    (by, parent): (&str, Option<&str>),
) -> Result<NewToken> {
    let mut bytes = [0; 38];
    random(&mut bytes).map_err(sqlx::Error::Io)?;
    let secret = format!("{MARK}{}", BASE64_URL_SAFE_NO_PAD.encode(&bytes[..32]));
    let token = Token {
        id: hex::encode(&bytes[32..]),
        user: user.to_owned(),
        prefix: secret[..SHOWN].to_owned(),
        note: note.to_owned(),
        workspace: scope.workspace.clone(),
        role: scope.role,
        created_at: jiff::Timestamp::now(),
        expires_at,
        revoked_at: None,
        used_at: None,
    };
    sqlx::query(
        "INSERT INTO tokens (id, user_name, digest, prefix, note, created_at, expires_at, workspace, role, parent)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(&token.id)
    .bind(user)
    .bind(Digest::of(secret.as_bytes()).hex())
    .bind(&token.prefix)
    .bind(note)
    .bind(stamp(token.created_at))
    .bind(expires_at.map(stamp))
    .bind(&scope.workspace)
    .bind(scope.role.map(Role::as_str))
    .bind(parent)
    .execute(&mut *connection)
    .await?;
    let mut deed = Deed::new(by, Action::TokenMake, user).with("token", &token.id).with("note", note);
    if let Some(expires_at) = expires_at {
        deed = deed.with("expires", expires_at);
    }
    if let Some(workspace) = &scope.workspace {
        deed = deed.with("workspace", workspace);
    }
    if let Some(role) = scope.role {
        deed = deed.with("role", role);
    }
    if let Some(parent) = parent {
        deed = deed.with("parent", parent);
    }
    append(connection, &deed).await?;
    Ok(NewToken { secret, token })
}

fn read(row: &Row) -> Result<Token> {
    let time = |column: &str| -> Result<Option<jiff::Timestamp>> {
        row.try_get::<Option<String>, _>(column)?.map(|text| parse("time", text)).transpose()
    };
    Ok(Token {
        id: row.try_get("id")?,
        user: row.try_get("user_name")?,
        prefix: row.try_get("prefix")?,
        note: row.try_get("note")?,
        workspace: row.try_get("workspace")?,
        role: row.try_get::<Option<String>, _>("role")?.map(|role| parse("role", role)).transpose()?,
        created_at: parse("time", row.try_get("created_at")?)?,
        expires_at: time("expires_at")?,
        revoked_at: time("revoked_at")?,
        used_at: time("used_at")?,
    })
}

/// Bytes that nobody can guess.
pub(crate) fn random(bytes: &mut [u8]) -> io::Result<()> {
    fs_err::File::open("/dev/urandom")?.read_exact(bytes)
}

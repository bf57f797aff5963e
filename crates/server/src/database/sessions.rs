//! Sessions of browsers, sign-ins that have begun, and who somebody is at the provider.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use provenv_definition::Digest;
use serde::Serialize;
use utoipa::ToSchema;

use super::audit::append;
use super::people::{EVERYWHERE, Identity, Role, Scope, random};
use super::{Action, Database, Deed, Result, now, parse, stamp};

/// What the secret of every session begins with.
const MARK: &str = "pvs_";
/// How long after its end a session is listed.
const LISTED: jiff::SignedDuration = jiff::SignedDuration::from_hours(24 * 7);

/// A session, without its secret.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Session {
    /// Its identifier.
    #[schema(example = "3f6c2a9b1d4e")]
    pub id: String,
    /// Whose it is.
    #[schema(example = "ann")]
    pub user: String,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: jiff::Timestamp,
    /// When it was last used, to the minute.
    #[schema(value_type = String, format = DateTime)]
    pub used_at: jiff::Timestamp,
    /// When it ends by itself.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: jiff::Timestamp,
    /// When it was ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<jiff::Timestamp>,
}

/// A sign-in that has begun.
#[derive(Clone)]
pub struct SignIn {
    /// What the identity token must say.
    pub nonce: String,
    /// What the code is exchanged with (PKCE).
    pub verifier: String,
    /// Where the browser wanted to go.
    pub back: String,
    /// The URL that the provider was told.
    pub redirect: String,
}

/// A secret that nobody can guess.
pub fn secret() -> Result<String> {
    let mut bytes = [0; 32];
    random(&mut bytes).map_err(sqlx::Error::Io)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

impl Database {
    /// Begins a session; gives the secret for the cookie. With a token, it may what the token may, and ends with it.
    pub async fn begin_session(
        &self,
        user: &str,
        token: Option<&str>,
        lasts: std::time::Duration,
    ) -> Result<String> {
        let secret = format!("{MARK}{}", secret()?);
        let mut id = [0; 6];
        random(&mut id).map_err(sqlx::Error::Io)?;
        let begun = jiff::Timestamp::now();
        sqlx::query("DELETE FROM sessions WHERE expires_at < $1")
            .bind(stamp(begun - LISTED))
            .execute(&self.pool)
            .await?;
        sqlx::query(
            "INSERT INTO sessions (id, user_name, digest, token, created_at, used_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(hex::encode(id))
        .bind(user)
        .bind(Digest::of(secret.as_bytes()).hex())
        .bind(token)
        .bind(stamp(begun))
        .bind(stamp(begun))
        .bind(stamp(after(begun, lasts)))
        .execute(&self.pool)
        .await?;
        Ok(secret)
    }

    /// Whose session it is, if it goes on: `idle` is how long it may be left alone.
    pub async fn session_of(&self, secret: &str, idle: std::time::Duration) -> Result<Option<Identity>> {
        type Row = (String, String, String, Option<String>, Option<String>, Option<String>);
        if !secret.starts_with(MARK) {
            return Ok(None);
        }
        let moment = jiff::Timestamp::now();
        let row: Option<Row> = sqlx::query_as(
            "SELECT s.id, s.user_name, s.used_at, s.token, t.workspace, t.role
             FROM sessions s LEFT JOIN tokens t ON t.id = s.token
             WHERE s.digest = $1 AND s.ended_at IS NULL AND s.expires_at > $2 AND s.used_at > $3
               AND (s.token IS NULL OR (t.id IS NOT NULL AND t.revoked_at IS NULL
                    AND (t.expires_at IS NULL OR t.expires_at > $2)))",
        )
        .bind(Digest::of(secret.as_bytes()).hex())
        .bind(stamp(moment))
        .bind(stamp(before(moment, idle)))
        .fetch_optional(&self.pool)
        .await?;
        let Some((id, user, used_at, token, workspace, role)) = row else { return Ok(None) };
        // To the minute, or to a quarter of what it may be left alone.
        let step = (idle / 4).min(std::time::Duration::from_mins(1));
        if used_at < stamp(before(moment, step)) {
            sqlx::query("UPDATE sessions SET used_at = $1 WHERE id = $2")
                .bind(stamp(moment))
                .bind(&id)
                .execute(&self.pool)
                .await?;
        }
        let role = role.map(|role| parse("role", role)).transpose()?;
        Ok(Some(Identity { user, token, scope: Scope { workspace, role } }))
    }

    /// Ends the session of a secret.
    pub async fn end_session(&self, secret: &str) -> Result<()> {
        sqlx::query("UPDATE sessions SET ended_at = coalesce(ended_at, $1) WHERE digest = $2")
            .bind(now())
            .bind(Digest::of(secret.as_bytes()).hex())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Ends a session by its identifier; `user` says whose it must be. Says whether there was one.
    pub async fn revoke_session(&self, id: &str, user: Option<&str>) -> Result<bool> {
        let done = sqlx::query(
            "UPDATE sessions SET ended_at = coalesce(ended_at, $1) WHERE id = $2 AND user_name = coalesce($3, user_name)",
        )
        .bind(now())
        .bind(id)
        .bind(user)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// The sessions of a user, or of all, newest first.
    pub async fn sessions(&self, user: Option<&str>) -> Result<Vec<Session>> {
        type Row = (String, String, String, String, String, Option<String>);
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, user_name, created_at, used_at, expires_at, ended_at FROM sessions
             WHERE user_name = coalesce($1, user_name) ORDER BY created_at DESC, id",
        )
        .bind(user)
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|(id, user, created_at, used_at, expires_at, ended_at)| {
                Ok(Session {
                    id,
                    user,
                    created_at: parse("time", created_at)?,
                    used_at: parse("time", used_at)?,
                    expires_at: parse("time", expires_at)?,
                    ended_at: ended_at.map(|at| parse("time", at)).transpose()?,
                })
            })
            .collect()
    }

    /// Keeps a sign-in that begins, for as long as somebody may take to type a password.
    pub async fn begin_sign_in(
        &self,
        state: &str,
        sign_in: &SignIn,
        lasts: std::time::Duration,
    ) -> Result<()> {
        let begun = jiff::Timestamp::now();
        sqlx::query("DELETE FROM sign_ins WHERE expires_at < $1")
            .bind(stamp(begun))
            .execute(&self.pool)
            .await?;
        sqlx::query(
            "INSERT INTO sign_ins (state, nonce, verifier, back, redirect, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(Digest::of(state.as_bytes()).hex())
        .bind(&sign_in.nonce)
        .bind(&sign_in.verifier)
        .bind(&sign_in.back)
        .bind(&sign_in.redirect)
        .bind(stamp(after(begun, lasts)))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Takes the sign-in of a state: it is there once.
    pub async fn take_sign_in(&self, state: &str) -> Result<Option<SignIn>> {
        let row: Option<(String, String, String, String)> = sqlx::query_as(
            "DELETE FROM sign_ins WHERE state = $1 AND expires_at > $2 RETURNING nonce, verifier, back, redirect",
        )
        .bind(Digest::of(state.as_bytes()).hex())
        .bind(now())
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|(nonce, verifier, back, redirect)| SignIn { nonce, verifier, back, redirect }))
    }

    /// The user that a subject of an issuer is. At the first sign-in that is `name`, unless somebody else is; `None` then. Who has a
    /// role or a token here and never signed in is somebody else, unless the name `may_be_adopted`.
    pub async fn identify(
        &self,
        issuer: &str,
        subject: &str,
        name: &str,
        may_be_adopted: bool,
    ) -> Result<Option<String>> {
        let mut transaction = self.begin(&format!("user {name}")).await?;
        let (known,): (i64,) = sqlx::query_as(
            "SELECT (SELECT COUNT(*) FROM roles WHERE user_name = $1) + (SELECT COUNT(*) FROM tokens WHERE user_name = $1)",
        )
        .bind(name)
        .fetch_one(&mut *transaction)
        .await?;
        if known == 0 || may_be_adopted {
            sqlx::query(
                "INSERT INTO identities (issuer, subject, user_name, created_at) VALUES ($1, $2, $3, $4)
                 ON CONFLICT DO NOTHING",
            )
            .bind(issuer)
            .bind(subject)
            .bind(name)
            .bind(now())
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        let row: Option<(String,)> =
            sqlx::query_as("SELECT user_name FROM identities WHERE issuer = $1 AND subject = $2")
                .bind(issuer)
                .bind(subject)
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.map(|(user,)| user))
    }

    /// Sets the roles that somebody has by their groups, in place of those of the last sign-in. Gives what changed: the
    /// workspace, the role before and the role now.
    pub async fn set_group_roles(
        &self,
        user: &str,
        roles: &std::collections::BTreeMap<Option<String>, Role>,
    ) -> Result<Vec<(Option<String>, Option<Role>, Option<Role>)>> {
        let mut transaction = self.begin("roles").await?;
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT workspace, role FROM group_roles WHERE user_name = $1")
                .bind(user)
                .fetch_all(&mut *transaction)
                .await?;
        let mut had = std::collections::BTreeMap::new();
        for (workspace, role) in rows {
            let workspace = (workspace != EVERYWHERE).then_some(workspace);
            had.insert(workspace, parse::<Role>("role", role)?);
        }
        let mut changes = Vec::new();
        for (workspace, role) in roles {
            let before = had.remove(workspace);
            if before == Some(*role) {
                continue;
            }
            sqlx::query(
                "INSERT INTO group_roles (workspace, user_name, role) VALUES ($1, $2, $3)
                 ON CONFLICT (workspace, user_name) DO UPDATE SET role = excluded.role",
            )
            .bind(workspace.as_deref().unwrap_or(EVERYWHERE))
            .bind(user)
            .bind(role.as_str())
            .execute(&mut *transaction)
            .await?;
            changes.push((workspace.clone(), before, Some(*role)));
        }
        for (workspace, before) in had {
            sqlx::query("DELETE FROM group_roles WHERE workspace = $1 AND user_name = $2")
                .bind(workspace.as_deref().unwrap_or(EVERYWHERE))
                .bind(user)
                .execute(&mut *transaction)
                .await?;
            changes.push((workspace, Some(before), None));
        }
        for (workspace, before, now) in &changes {
            let action = if now.is_some() { Action::RoleSet } else { Action::RoleRemove };
            let mut deed = Deed::new(user, action, user).with("by", "groups");
            if let Some(workspace) = workspace {
                deed = deed.within(workspace);
            }
            for (name, role) in [("before", before), ("role", now)] {
                if let Some(role) = role {
                    deed = deed.with(name, role);
                }
            }
            append(&mut transaction, &deed).await?;
        }
        transaction.commit().await?;
        Ok(changes)
    }
}

/// A time so much later; the latest that there is, where that is beyond.
fn after(at: jiff::Timestamp, lasts: std::time::Duration) -> jiff::Timestamp {
    at.checked_add(lasts).unwrap_or(jiff::Timestamp::MAX)
}

fn before(at: jiff::Timestamp, lasts: std::time::Duration) -> jiff::Timestamp {
    at.checked_sub(lasts).unwrap_or(jiff::Timestamp::MIN)
}

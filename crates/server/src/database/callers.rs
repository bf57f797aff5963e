//! Whoever calls: asked for with every request.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use provenv_definition::Digest;
use provenv_workspace::Moment;
use sqlx::Row as _;

use super::people::{EVERYWHERE, MARK};
use super::{Database, Identity, Result, Role, Scope, now, parse};

/// How many callers are kept before all are forgotten.
const MOST: usize = 10_000;
/// How exactly is known when a token was used last: a write for each request would cost more than all else, and to the minute is
/// enough to find forgotten tokens.
const EXACTLY: SignedDuration = SignedDuration::from_mins(1);

/// Whose token it is, and what they may with it.
#[derive(Clone, Debug)]
pub struct Known {
    /// Who.
    pub identity: Identity,
    /// What they may, in the workspace that was asked for or on the server as a whole.
    pub role: Option<Role>,
    expires_at: Option<Timestamp>,
    used_at: Timestamp,
}

/// Those who called lately, by the digests of their tokens and where they called. They are who they were as long as nobody
/// committed anything.
#[derive(Clone, Default)]
pub(super) struct Callers(Arc<Mutex<All>>);

type All = HashMap<(Digest, String), (Moment, Arc<Known>)>;

impl fmt::Debug for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callers").finish_non_exhaustive()
    }
}

impl Callers {
    fn get(&self, who: &(Digest, String), moment: &Moment) -> Option<Arc<Known>> {
        let all = self.all();
        let (kept, known) = all.get(who)?;
        (kept == moment).then(|| Arc::clone(known))
    }

    fn keep(&self, who: (Digest, String), moment: Moment, known: Arc<Known>) {
        let mut all = self.all();
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(who, (moment, known));
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Database {
    /// Whose token it is, if it holds.
    pub async fn user_of(&self, secret: &str) -> Result<Option<Identity>> {
        let moment = self.moment().await;
        let known = self.caller(secret, None, moment.as_ref()).await?;
        Ok(known.map(|known| known.identity.clone()))
    }

    /// Whose token it is, if it holds, and what they may with it in a workspace, or on the server as a whole. What was read before
    /// is taken only if nothing was committed up to `moment`, which is this request's own: what is revoked ends at once, on all
    /// servers.
    pub async fn caller(
        &self,
        secret: &str,
        workspace: Option<&str>,
        moment: Option<&Moment>,
    ) -> Result<Option<Arc<Known>>> {
        if !secret.starts_with(MARK) {
            return Ok(None);
        }
        let who = (Digest::of(secret.as_bytes()), workspace.unwrap_or(EVERYWHERE).to_owned());
        let at = Timestamp::now();
        if let Some(known) = moment.and_then(|moment| self.callers.get(&who, moment))
            && known.expires_at.is_none_or(|end| end > at)
            && known.used_at >= at - EXACTLY
        {
            return Ok(Some(known));
        }
        let Some(known) = self.read_caller(&who.0, workspace).await?.map(Arc::new) else { return Ok(None) };
        if let Some(moment) = moment
            && self.moment().await.as_ref() == Some(moment)
        {
            self.callers.keep(who, moment.clone(), Arc::clone(&known));
        }
        Ok(Some(known))
    }

    /// By one statement, and another where the token is used the first time in a minute.
    async fn read_caller(&self, digest: &Digest, workspace: Option<&str>) -> Result<Option<Known>> {
        let row = sqlx::query(
            "SELECT id, user_name, used_at, expires_at, workspace, role,
                 (SELECT max(CASE r.role WHEN 'owner' THEN 3 WHEN 'contributor' THEN 2 ELSE 1 END) FROM roles r
                  WHERE r.user_name = tokens.user_name AND r.workspace IN ($3, $4)) AS given,
                 (SELECT max(CASE g.role WHEN 'owner' THEN 3 WHEN 'contributor' THEN 2 ELSE 1 END) FROM group_roles g
                  WHERE g.user_name = tokens.user_name AND g.workspace IN ($3, $4)) AS by_groups
             FROM tokens WHERE digest = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)",
        )
        .bind(digest.hex())
        .bind(now())
        .bind(EVERYWHERE)
        .bind(workspace.unwrap_or(EVERYWHERE))
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let id: String = row.try_get("id")?;
        let time = |column: &str| -> Result<Option<Timestamp>> {
            row.try_get::<Option<String>, _>(column)?.map(|text| parse("time", text)).transpose()
        };
        let at = Timestamp::now();
        let used_at = match time("used_at")?.filter(|used| *used >= at - EXACTLY) {
            Some(used_at) => used_at,
            None => {
                sqlx::query("UPDATE tokens SET used_at = $1 WHERE id = $2")
                    .bind(super::stamp(at))
                    .bind(&id)
                    .execute(&self.pool)
                    .await?;
                at
            }
        };
        let role: Option<String> = row.try_get("role")?;
        let role = role.map(|role| parse("role", role)).transpose()?;
        let identity = Identity {
            user: row.try_get("user_name")?,
            token: Some(id),
            scope: Scope { workspace: row.try_get("workspace")?, role },
        };
        let (given, by_groups): (Option<i64>, Option<i64>) =
            (row.try_get("given")?, row.try_get("by_groups")?);
        let has = match given.max(by_groups) {
            None => None,
            Some(1) => Some(Role::Reader),
            Some(2) => Some(Role::Contributor),
            Some(_) => Some(Role::Owner),
        };
        let role = identity.scope.limit(has, workspace);
        Ok(Some(Known { identity, role, expires_at: time("expires_at")?, used_at }))
    }
}

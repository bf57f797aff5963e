//! Answers by idempotency key: a client that asks again gets the same, and nothing is done twice.

use super::{Database, Result, now, stamp};

/// How long answers are kept.
const KEPT: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);

/// An answer that was given.
#[derive(Clone, Debug)]
pub struct Answered {
    /// What it answered: a digest.
    pub request: String,
    /// Its status.
    pub status: u16,
    /// Its media type.
    pub media_type: String,
    /// Its body.
    pub body: Vec<u8>,
}

impl Database {
    /// Takes the turn to answer a request with this key, for so long; says whether it could be had. Whoever is killed while it is
    /// theirs leaves it to the next when the time is over.
    pub async fn take_turn(
        &self,
        user: &str,
        key: &str,
        holder: &str,
        lasts: jiff::SignedDuration,
    ) -> Result<bool> {
        let moment = jiff::Timestamp::now();
        let done = sqlx::query(
            "INSERT INTO answering (user_name, key, holder, until) VALUES ($1, $2, $3, $4)
             ON CONFLICT (user_name, key) DO UPDATE SET holder = excluded.holder, until = excluded.until
             WHERE answering.until < $5 OR answering.holder = excluded.holder",
        )
        .bind(user)
        .bind(key)
        .bind(holder)
        .bind(stamp(moment + lasts))
        .bind(stamp(moment))
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Gives the turn back.
    pub async fn end_turn(&self, user: &str, key: &str, holder: &str) -> Result<()> {
        sqlx::query("DELETE FROM answering WHERE user_name = $1 AND key = $2 AND holder = $3")
            .bind(user)
            .bind(key)
            .bind(holder)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// What a user was answered by this key.
    pub async fn answered(&self, user: &str, key: &str) -> Result<Option<Answered>> {
        let row: Option<(String, i64, String, Vec<u8>)> = sqlx::query_as(
            "SELECT request, status, type, body FROM answers WHERE user_name = $1 AND key = $2",
        )
        .bind(user)
        .bind(key)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|(request, status, media_type, body)| Answered {
            request,
            status: u16::try_from(status).unwrap_or(500),
            media_type,
            body,
        }))
    }

    /// Keeps an answer, and lets those go that are old.
    pub async fn keep_answer(&self, user: &str, key: &str, answer: &Answered) -> Result<()> {
        sqlx::query("DELETE FROM answers WHERE created_at < $1")
            .bind(stamp(jiff::Timestamp::now() - KEPT))
            .execute(&self.pool)
            .await?;
        sqlx::query(
            "INSERT INTO answers (user_name, key, request, status, type, body, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (user_name, key) DO NOTHING",
        )
        .bind(user)
        .bind(key)
        .bind(&answer.request)
        .bind(i64::from(answer.status))
        .bind(&answer.media_type)
        .bind(&answer.body)
        .bind(now())
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

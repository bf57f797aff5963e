//! A server or a worker that begins while its database is away, or starts at the same time, waits for it.

use std::time::{Duration, Instant};

use provenv_workspace::is_away;

use crate::ServeError;
use crate::problem::Problem;

/// How long the database may be away for while a process begins.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often it is asked again.
const PACE: Duration = Duration::from_millis(500);

/// What went wrong while a process begins.
pub(crate) enum Beginning {
    /// The database is away: another time it may go well.
    Away(ServeError),
    /// Anything else.
    Failed(ServeError),
}

impl<E: Into<ServeError>> From<E> for Beginning {
    fn from(error: E) -> Self {
        let error = error.into();
        let first: &(dyn std::error::Error + 'static) = &error;
        let is_away = std::iter::successors(Some(first), |error| error.source())
            .any(|error| error.downcast_ref().is_some_and(is_away));
        if is_away { Self::Away(error) } else { Self::Failed(error) }
    }
}

impl Beginning {
    /// What an operation of the API answers, said as why there is no server.
    pub fn of(problem: &Problem, to_error: impl FnOnce(String) -> ServeError) -> Self {
        let error = to_error(problem.detail.clone());
        if problem.code == "database-away" { Self::Away(error) } else { Self::Failed(error) }
    }
}

/// Tries again while the database is away, for a minute.
pub(crate) async fn patiently<T, F: Future<Output = Result<T, Beginning>>>(
    mut act: impl FnMut() -> F,
) -> Result<T, ServeError> {
    let begun = Instant::now();
    let mut is_said = false;
    loop {
        match act().await {
            Err(Beginning::Away(error)) if begun.elapsed() < PATIENCE => {
                if !is_said {
                    tracing::warn!(%error, "the database does not answer yet, and is waited for");
                    is_said = true;
                }
                tokio::time::sleep(PACE).await;
            }
            Err(Beginning::Away(error) | Beginning::Failed(error)) => return Err(error),
            Ok(done) => return Ok(done),
        }
    }
}

//! The tokens that registries give in place of a password: one serves for all of a repository, until it is over or refused.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as Immediate, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::sync::{Mutex, MutexGuard};
use url::Url;

use crate::credentials::Authentication;

/// How long a token lasts that does not say it (the distribution project's "Token Authentication Specification").
const USUAL: u64 = 60;
/// None is believed to last longer.
const LONGEST: u64 = 24 * 60 * 60;
/// Before its end it is not used any more: it has to arrive.
const MARGIN: u64 = 5;

/// What a registry answers who asks it for a token. Some give both names.
#[derive(Deserialize)]
pub(crate) struct Given {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

/// Those that are kept in memory, by registry and repository.
#[derive(Default)]
pub(crate) struct Tokens {
    slots: Immediate<HashMap<(String, String), Slot>>,
}

/// The place of one. Who holds it asks for a token, and others wait for that one.
#[derive(Clone, Default)]
pub(crate) struct Slot(Arc<Mutex<Option<Kept>>>);

struct Kept {
    token: Authentication,
    until: Instant,
    /// With what it was asked for: nobody gets what another's password has brought.
    own: Option<Authentication>,
}

impl Tokens {
    pub(crate) fn slot(&self, registry: &Url, repository: &str) -> Slot {
        let key = (registry.origin().ascii_serialization(), repository.to_owned());
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone()
    }
}

impl Slot {
    pub(crate) async fn open(&self) -> Open<'_> {
        Open(self.0.lock().await)
    }
}

/// A slot that one holds.
pub(crate) struct Open<'s>(MutexGuard<'s, Option<Kept>>);

impl Open<'_> {
    /// The token for who has these credentials, unless it is the one that was `refused`.
    pub(crate) fn usable(
        &self,
        own: Option<&Authentication>,
        refused: Option<&Authentication>,
    ) -> Option<Authentication> {
        let kept = self.0.as_ref()?;
        let is_usable =
            kept.until > Instant::now() && kept.own.as_ref() == own && Some(&kept.token) != refused;
        is_usable.then(|| kept.token.clone())
    }

    /// Keeps what was given to who has these credentials and asked at this time; `None` where no token is in it.
    pub(crate) fn keep(
        &mut self,
        given: Given,
        own: Option<Authentication>,
        asked: Instant,
    ) -> Option<Authentication> {
        let token = Authentication::Bearer(given.token.or(given.access_token)?);
        let lasts = given.expires_in.unwrap_or(USUAL).min(LONGEST).saturating_sub(MARGIN);
        let until = asked + Duration::from_secs(lasts);
        *self.0 = Some(Kept { token: token.clone(), until, own });
        Some(token)
    }
}

//! Uploads that have begun and not ended. They are in the making in the store, and go with this process.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use provenv_store::{Staged, Store};
use tokio::sync::{OwnedMutexGuard, watch};

use super::failure::{Code, Failure};
use super::name::RepositoryName;
use super::token::random;

/// How long an upload is kept that nobody goes on with.
const KEPT: Duration = Duration::from_hours(1);
/// How many there may be: each is an open file.
const MOST: usize = 2_000;

/// The uploads of this server.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<String, Arc<Session>>>);

/// An upload.
pub(super) struct Session {
    pub id: String,
    repository: RepositoryName,
    /// Bytes taken.
    taken: AtomicU64,
    touched: Mutex<Instant>,
    /// Counts the requests that add to it.
    turn: watch::Sender<u64>,
    /// `None` once it has ended.
    staged: Arc<tokio::sync::Mutex<Option<Staged>>>,
}

/// A request's right to add to an upload. It ends when the next request comes: a client whose connection broke goes on at
/// once, while here the broken one may be waited for without end.
pub(super) struct Turn {
    pub session: Arc<Session>,
    pub staged: OwnedMutexGuard<Option<Staged>>,
    mine: u64,
    turns: watch::Receiver<u64>,
}

impl Sessions {
    /// Begins an upload.
    pub fn begin(&self, store: &Store, repository: &RepositoryName) -> Result<Arc<Session>, Failure> {
        let mut sessions = self.all();
        if sessions.len() >= MOST {
            let message = format!("{MOST} uploads have begun and not ended");
            return Err(Failure::new(429, Code::TooManyRequests, message));
        }
        let id = random().map_err(|error| Failure::fault(&error))?;
        let session = Arc::new(Session {
            id: id.clone(),
            repository: repository.clone(),
            taken: AtomicU64::new(0),
            touched: Mutex::new(Instant::now()),
            turn: watch::channel(0).0,
            staged: Arc::new(tokio::sync::Mutex::new(Some(store.stage()?))),
        });
        sessions.insert(id, Arc::clone(&session));
        Ok(session)
    }

    /// The upload of that identifier to that repository.
    pub fn find(&self, repository: &RepositoryName, id: &str) -> Result<Arc<Session>, Failure> {
        let found = self.all().get(id).filter(|session| session.repository == *repository).cloned();
        let session = found.ok_or_else(|| {
            Failure::new(404, Code::BlobUploadUnknown, "there is no such upload")
                .because("it has ended, was not gone on with for an hour, or began before the server did")
        })?;
        session.touch();
        Ok(session)
    }

    /// Forgets an upload; what it brought goes when the last request that uses it has ended.
    pub fn end(&self, id: &str) {
        self.all().remove(id);
    }

    /// Forgets uploads that nobody goes on with.
    pub fn sweep(&self) {
        self.all().retain(|_, session| session.is_used() || session.touched().elapsed() < KEPT);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// Bytes taken so far.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::SeqCst)
    }

    /// Says how many bytes were taken.
    pub fn took(&self, size: u64) {
        self.taken.store(size, Ordering::SeqCst);
        self.touch();
    }

    /// Takes the upload over from whatever request had it.
    pub async fn turn(self: Arc<Self>) -> Turn {
        let mut mine = 0;
        self.turn.send_modify(|turn| {
            *turn += 1;
            mine = *turn;
        });
        let turns = self.turn.subscribe();
        let staged = Arc::clone(&self.staged).lock_owned().await;
        Turn { session: self, staged, mine, turns }
    }

    fn touch(&self) {
        *self.touched.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn touched(&self) -> Instant {
        *self.touched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_used(&self) -> bool {
        self.staged.try_lock().is_err()
    }
}

impl Turn {
    /// Waits until another request takes the upload over.
    pub async fn is_over(&mut self) {
        let mine = self.mine;
        // The sender is in the session, which this has.
        let _ = self.turns.wait_for(|turn| *turn != mine).await;
    }
}

//! Uploads that have begun and not ended. They are in the making in the store, and go on after this process, with the next one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use provenv_definition::Digest;
use provenv_store::{Staged, Store};
use tokio::sync::{OwnedMutexGuard, watch};

use super::failure::{Code, Failure};
use super::name::RepositoryName;
use super::token::random;

/// How long an upload is kept that nobody goes on with.
const KEPT: Duration = Duration::from_hours(1);
/// How long a request may take to let go of an upload when the server ends.
const LET_GO: Duration = Duration::from_secs(2);
/// How many there may be: each is an open file.
const MOST: usize = 2_000;

/// The uploads of this server.
#[derive(Default)]
pub(super) struct Sessions {
    begun: Mutex<HashMap<String, Arc<Session>>>,
    /// Held by whoever looks for one of an earlier process.
    resuming: tokio::sync::Mutex<()>,
}

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
    /// Begins an upload: one of several requests, which the next process can go on with, or one that ends with this request.
    pub fn begin(
        &self,
        store: &Store,
        repository: &RepositoryName,
        of_several: bool,
    ) -> Result<Arc<Session>, Failure> {
        let mut sessions = self.all();
        if sessions.len() >= MOST {
            let message = format!("{MOST} uploads have begun and not ended");
            return Err(Failure::new(429, Code::TooManyRequests, message));
        }
        let id = random().map_err(|error| Failure::fault(&error))?;
        let id = format!("{id}-{}", mark(repository));
        let staged = if of_several { store.stage_as(&id)? } else { store.stage()? };
        let session = Session::of(&id, repository, staged);
        sessions.insert(id, Arc::clone(&session));
        Ok(session)
    }

    /// The upload of that identifier to that repository, begun by this process or an earlier one.
    pub async fn find(
        &self,
        store: &Store,
        repository: &RepositoryName,
        id: &str,
    ) -> Result<Arc<Session>, Failure> {
        let known = || self.all().get(id).filter(|session| session.repository == *repository).cloned();
        let session = match known() {
            Some(session) => Some(session),
            // An identifier says of which repository it is: nothing else is written down about an upload.
            None if id.ends_with(&format!("-{}", mark(repository))) => {
                let _resuming = self.resuming.lock().await;
                match known() {
                    Some(session) => Some(session),
                    None => self.resume(store, repository, id).await?,
                }
            }
            None => None,
        };
        let session = session.ok_or_else(|| {
            Failure::new(404, Code::BlobUploadUnknown, "there is no such upload")
                .because("it has ended, was not gone on with for an hour, or another server has it")
        })?;
        session.touch();
        Ok(session)
    }

    async fn resume(
        &self,
        store: &Store,
        repository: &RepositoryName,
        id: &str,
    ) -> Result<Option<Arc<Session>>, Failure> {
        let (store, key) = (store.clone(), id.to_owned());
        let staged = match tokio::task::spawn_blocking(move || store.resume(&key)).await? {
            // No name that was given out here.
            Err(provenv_store::Error::Name(_)) => None,
            staged => staged?,
        };
        Ok(staged.map(|staged| {
            let session = Session::of(id, repository, staged);
            self.all().insert(id.to_owned(), Arc::clone(&session));
            session
        }))
    }

    /// Leaves every upload for the next process. Requests that add to one are told to stop.
    pub async fn keep(&self) {
        let sessions: Vec<_> = self.all().drain().map(|(_, session)| session).collect();
        let keeping = sessions.into_iter().map(|session| async move {
            let Ok(mut turn) = tokio::time::timeout(LET_GO, session.turn()).await else { return };
            if let Some(staged) = turn.staged.take() {
                let kept = tokio::task::spawn_blocking(move || staged.keep()).await;
                if let Ok(Err(error)) = kept {
                    tracing::warn!(%error, "an upload is not left for the next server");
                }
            }
        });
        futures::future::join_all(keeping).await;
    }

    /// Forgets an upload; what it brought goes when the last request that uses it has ended.
    pub fn end(&self, id: &str) {
        self.all().remove(id);
    }

    /// Forgets uploads that nobody goes on with, of earlier processes too.
    pub async fn sweep(&self, store: &Store) {
        self.all().retain(|_, session| session.is_used() || session.touched().elapsed() < KEPT);
        let store = store.clone();
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || store.sweep_uploads(KEPT)).await {
            tracing::warn!(%error, "uploads that nobody goes on with are still there");
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an identifier ends with by which its repository is known.
fn mark(repository: &RepositoryName) -> String {
    Digest::of(repository.as_str().as_bytes()).hex()[..16].to_owned()
}

impl Session {
    fn of(id: &str, repository: &RepositoryName, staged: Staged) -> Arc<Self> {
        Arc::new(Self {
            id: id.to_owned(),
            repository: repository.clone(),
            taken: AtomicU64::new(staged.size()),
            touched: Mutex::new(Instant::now()),
            turn: watch::channel(0).0,
            staged: Arc::new(tokio::sync::Mutex::new(Some(staged))),
        })
    }

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

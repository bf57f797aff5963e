//! Users and their passwords: a file as `htpasswd -B` writes it.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use provenv_definition::{Digest, Hasher};
use provenv_fetch::Reporter;
use tokio::sync::Semaphore;

use super::token::random;

/// How often the file is looked at for changes.
const LOOK: Duration = Duration::from_secs(1);
/// How many passwords are tried at once. Each takes a core for a while, by design, and who guesses must not have them all.
const AT_ONCE: usize = 2;
/// How many passwords that were right are remembered.
const REMEMBERED: usize = 1024;
/// What an unknown user's password is tried against, so that the answer takes as long: the hash of some password, of the cost
/// that `htpasswd` has by default.
const NOBODY: &str = "$2y$05$abcdefghijklmnopqrstuuoXuKqgZXLiJqzfmMXDDhSFPIvxV7t8.";

/// A file of users that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HtpasswdError {
    /// It cannot be read.
    #[error("could not read the passwords")]
    Read(#[from] std::io::Error),
    /// A line is not a user with a hash of bcrypt.
    #[error("{}:{line}: {reason}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from one.
        line: usize,
        /// What is wrong with it; never what stands in it.
        reason: &'static str,
    },
    /// It has no users.
    #[error("`{}` names no users", .0.display())]
    Empty(PathBuf),
}

/// The users of a file, which is read again when it changes.
pub struct Htpasswd {
    path: PathBuf,
    state: Mutex<State>,
    turns: Semaphore,
    /// Makes what is remembered useless to anybody else.
    key: String,
    /// Who hears of a file that has become unusable.
    reporter: Arc<dyn Reporter>,
}

struct State {
    users: Arc<HashMap<String, String>>,
    stamp: Option<(SystemTime, u64)>,
    looked: Instant,
    /// Digests of users, hashes and passwords that fit together.
    right: HashSet<Digest>,
}

impl Htpasswd {
    /// Reads the file.
    pub fn open(path: &Path, reporter: Arc<dyn Reporter>) -> Result<Self, HtpasswdError> {
        let stamp = stamp(path);
        let users = Arc::new(read(path)?);
        let state = State { users, stamp, looked: Instant::now(), right: HashSet::new() };
        Ok(Self {
            path: path.to_owned(),
            state: Mutex::new(state),
            turns: Semaphore::new(AT_ONCE),
            key: random()?,
            reporter,
        })
    }

    /// Whether this user has this password.
    pub(super) async fn verify(&self, user: &str, password: &str) -> bool {
        let hash = self.users().get(user).cloned();
        let sum = hash.as_ref().map(|hash| self.sum([user, hash, password]));
        if sum.is_some_and(|sum| self.state().right.contains(&sum)) {
            return true;
        }
        let Ok(_turn) = self.turns.acquire().await else { return false };
        let (password, known) = (password.to_owned(), hash.is_some());
        let hash = hash.unwrap_or_else(|| NOBODY.to_owned());
        let right = tokio::task::spawn_blocking(move || bcrypt::verify(password, &hash).unwrap_or(false));
        let right = right.await.unwrap_or(false) && known;
        if let Some(sum) = sum.filter(|_| right) {
            let mut state = self.state();
            if state.right.len() >= REMEMBERED {
                state.right.clear();
            }
            state.right.insert(sum);
        }
        right
    }

    /// What changes with the user's password, and tells nothing of it; `None` where there is no such user.
    pub(super) fn seal(&self, user: &str) -> Option<Digest> {
        let users = self.users();
        let hash = users.get(user)?;
        Some(self.sum([user, hash, "seal"]))
    }

    /// The users of now. A file that has become unusable changes nothing, and that is said.
    fn users(&self) -> Arc<HashMap<String, String>> {
        let mut state = self.state();
        if state.looked.elapsed() >= LOOK {
            state.looked = Instant::now();
            let now = stamp(&self.path);
            if now != state.stamp {
                match read(&self.path) {
                    Ok(users) => (state.users, state.stamp) = (Arc::new(users), now),
                    Err(error) => self.reporter.note(&format!("keeping the users of before: {error}")),
                }
            }
        }
        Arc::clone(&state.users)
    }

    fn sum(&self, fields: [&str; 3]) -> Digest {
        let mut hasher = Hasher::new();
        for field in [&self.key].into_iter().map(String::as_str).chain(fields) {
            hasher.update(&(field.len() as u64).to_be_bytes());
            hasher.update(field.as_bytes());
        }
        hasher.finish()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Htpasswd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Htpasswd").field("path", &self.path).finish_non_exhaustive()
    }
}

/// By which a change is noticed.
fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = fs_err::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn read(path: &Path) -> Result<HashMap<String, String>, HtpasswdError> {
    let text = fs_err::read_to_string(path)?;
    let mut users = HashMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |reason| HtpasswdError::Line { path: path.to_owned(), line: number + 1, reason };
        let (user, hash) = line.split_once(':').ok_or_else(|| wrong("a line is USER:HASH"))?;
        if user.is_empty() {
            return Err(wrong("the user has no name"));
        }
        if !["$2a$", "$2b$", "$2y$"].iter().any(|kind| hash.starts_with(kind)) || hash.len() != 60 {
            return Err(wrong("the password is not hashed with bcrypt"));
        }
        users.insert(user.to_owned(), hash.to_owned());
    }
    if users.is_empty() {
        return Err(HtpasswdError::Empty(path.to_owned()));
    }
    Ok(users)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("htpasswd");
        fs_err::write(&path, text).unwrap();
        (folder, path)
    }

    fn line(user: &str, password: &str) -> String {
        format!("{user}:{}\n", bcrypt::hash(password, 4).unwrap())
    }

    #[tokio::test]
    async fn passwords_are_right_or_wrong() {
        let (_folder, path) = file(&format!("# people\n\n{}{}", line("ann", "tea"), line("bob", "co:ffee")));
        let users = Htpasswd::open(&path, Arc::new(provenv_fetch::Silent)).unwrap();
        for (user, password, right) in [
            ("ann", "tea", true),
            ("ann", "tea", true),
            ("bob", "co:ffee", true),
            ("ann", "co:ffee", false),
            ("ann", "", false),
            ("eve", "tea", false),
        ] {
            assert_eq!(users.verify(user, password).await, right, "{user} {password}");
        }
        assert!(!format!("{users:?}").contains("$2"));
    }

    #[tokio::test]
    async fn a_file_that_changes_is_read_again() {
        let (_folder, path) = file(&line("ann", "tea"));
        let users = Htpasswd::open(&path, Arc::new(provenv_fetch::Silent)).unwrap();
        assert!(users.verify("ann", "tea").await);
        let begun = Instant::now();
        fs_err::write(&path, line("ann", "milk") + &line("bob", "tea")).unwrap();
        while !users.verify("bob", "tea").await {
            assert!(begun.elapsed() < Duration::from_mins(1));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(!users.verify("ann", "tea").await && users.verify("ann", "milk").await);
    }

    #[test]
    fn lines_that_cannot_be_used_are_named_and_not_shown() {
        for (text, line) in [("ann:hunter2\n", 1), ("# x\nann:$apr1$hunter2\n", 2), ("hunter2\n", 1)] {
            let (_folder, path) = file(text);
            let error = Htpasswd::open(&path, Arc::new(provenv_fetch::Silent)).unwrap_err();
            let message = error.to_string();
            assert!(message.contains(&format!("htpasswd:{line}: ")), "{message}");
            assert!(!format!("{message}{error:?}").contains("hunter2"), "{error:?}");
        }
        let (_folder, path) = file("\n");
        assert!(matches!(
            Htpasswd::open(&path, Arc::new(provenv_fetch::Silent)),
            Err(HtpasswdError::Empty(_))
        ));
    }
}

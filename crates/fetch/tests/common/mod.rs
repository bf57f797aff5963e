//! What the tests of fetching share.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use provenv_definition::SafeUrl;
use provenv_fetch::{CredentialSources, Fetcher, Options, Phase, Reporter};
use provenv_store::Store;
use provenv_testing::server::Server;
use tempfile::TempDir;

/// Keeps what it hears.
#[derive(Default)]
pub struct Recorder {
    pub events: Mutex<Vec<String>>,
    pub totals: Mutex<Totals>,
    pub notes: Mutex<Vec<String>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub items: u64,
    pub expected: u64,
    pub advanced: u64,
    pub open: i64,
}

impl Reporter for Recorder {
    fn expect(&self, phase: Phase, items: u64, bytes: u64) {
        assert_eq!(phase, Phase::Fetching);
        let mut totals = self.totals.lock().unwrap();
        totals.items += items;
        totals.expected += bytes;
    }
    fn begin(&self, _: Phase, item: &str) {
        self.totals.lock().unwrap().open += 1;
        self.events.lock().unwrap().push(format!("begin {item}"));
    }
    fn advance(&self, _: Phase, bytes: u64) {
        self.totals.lock().unwrap().advanced += bytes;
    }
    fn end(&self, _: Phase, item: &str) {
        self.totals.lock().unwrap().open -= 1;
        self.events.lock().unwrap().push(format!("end {item}"));
    }
    fn note(&self, message: &str) {
        self.notes.lock().unwrap().push(message.to_owned());
    }
}

/// Patience for tests.
pub fn options() -> Options {
    Options {
        connect_timeout: Duration::from_secs(5),
        stall_timeout: Duration::from_millis(700),
        retries: 3,
        credentials: CredentialSources::new(|_| None, None, None),
        ..Options::default()
    }
}

/// A fetcher with a store of its own.
pub struct Bench {
    pub fetcher: Fetcher,
    pub recorder: Arc<Recorder>,
    pub folder: TempDir,
}

impl Bench {
    pub fn new() -> Self {
        Self::with(options())
    }

    pub fn with(options: Options) -> Self {
        let folder = TempDir::new().unwrap();
        let store = Store::open(folder.path().join("store")).unwrap();
        let recorder = Arc::new(Recorder::default());
        let fetcher = Fetcher::new(store, recorder.clone(), options).unwrap();
        Self { fetcher, recorder, folder }
    }

    /// The same store with other options.
    pub fn again(&self, options: Options) -> Fetcher {
        Fetcher::new(self.fetcher.store().clone(), self.recorder.clone(), options).unwrap()
    }

    /// Whether no blob and nothing half-made is in the store.
    pub fn is_empty(&self) -> bool {
        let stats = self.fetcher.store().stats().unwrap();
        (stats.blobs.count, stats.tmp_bytes) == (0, 0)
    }
}

pub fn url(server: &Server, path: &str) -> SafeUrl {
    server.at(path).parse().unwrap()
}

/// Bytes that do not repeat.
pub fn bytes(length: usize) -> Vec<u8> {
    (0..length as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56).to_le_bytes()[0]).collect()
}

/// An error and all its causes, as a user would see them.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

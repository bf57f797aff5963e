//! The log of a build: every step with its time, whoever watches.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::{Phase, Reporter};

/// Writes what it hears to a file, and hands it on.
pub(crate) struct BuildLog {
    file: Mutex<fs_err::File>,
    next: Arc<dyn Reporter>,
}

impl BuildLog {
    pub(crate) fn create(path: &Path, next: Arc<dyn Reporter>) -> std::io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs_err::create_dir_all(folder)?;
        }
        Ok(Self { file: Mutex::new(fs_err::File::create(path)?), next })
    }

    /// Adds a line. A log that cannot be written must not fail the build.
    pub(crate) fn line(&self, text: &str) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writeln!(file, "{} {text}", jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ"));
    }
}

impl Reporter for BuildLog {
    fn expect(&self, phase: Phase, items: u64, bytes: u64) {
        self.next.expect(phase, items, bytes);
    }

    fn begin(&self, phase: Phase, item: &str) {
        self.line(&format!("{} {item}", phase.word()));
        self.next.begin(phase, item);
    }

    fn advance(&self, phase: Phase, bytes: u64) {
        self.next.advance(phase, bytes);
    }

    fn end(&self, phase: Phase, item: &str) {
        self.line(&format!("{} {item}: done", phase.word()));
        self.next.end(phase, item);
    }

    fn note(&self, message: &str) {
        self.line(&format!("note: {message}"));
        self.next.note(message);
    }

    fn output(&self, line: &str) {
        self.line(&format!("| {line}"));
        self.next.output(line);
    }
}

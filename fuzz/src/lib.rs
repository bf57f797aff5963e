//! What a target does with its input. What must hold of definitions is shared with the tests that keep old findings.

#[path = "../../crates/definition/tests/support/invariants.rs"]
mod invariants;

use std::path::Path;

use provenv_definition::Source;
use provenv_lock::Lock;
use provenv_workspace::Job;

pub use invariants::*;

/// A lock as JSON: it is valid or not, and written as it was read.
pub fn lock(data: &[u8]) {
    let Ok(lock) = serde_json::from_slice::<Lock>(data) else { return };
    let _ = lock.validate();
    let written = serde_json::to_string(&lock).expect("plain data");
    let again: Lock = serde_json::from_str(&written).unwrap_or_else(|error| panic!("{error}\n{written}"));
    assert_eq!(serde_json::to_string(&again).expect("plain data"), written);
}

/// A job's file: its remarks stand inside it.
pub fn job(data: &[u8]) {
    let Ok(source) = Source::decode(Path::new("/nowhere/job.yaml"), data) else { return };
    if let Err(error) = Job::parse(&source) {
        diagnostics(&error.0, &source);
    }
}

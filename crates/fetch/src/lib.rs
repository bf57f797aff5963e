//! Bytes from elsewhere: HTTP with credentials, validators, retries and checks, and the progress of it.

mod report;

pub use report::{Phase, Reporter, Silent};

//! Bytes from elsewhere: HTTP and `file:` with credentials, validators, retries and checks, and the progress of it.
//!
//! Three ways to fetch, by what is known of the bytes beforehand: an *artifact*'s digest is known, and nothing else
//! is accepted; a *document* changes, so a copy of it is kept with its validators and asked after each time; of
//! *unverified* bytes nothing is known, and what came is named by its own digest. All of them end in the store.

mod credentials;
mod document;
mod error;
mod exchange;
mod fetcher;
mod netrc;
mod oci;
mod report;
mod request;
mod retry;
mod tokens;
mod transfer;

pub use credentials::{CredentialSources, Credentials, HostCredentials, Kept, Unusable};
pub use document::Document;
pub use error::{Error, Result};
pub use exchange::Exchange;
pub use fetcher::{Fetcher, Options};
pub use report::{Phase, Reporter, Silent};
pub use retry::retry_after;

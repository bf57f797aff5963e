//! Conda: environment files, lists of packages, locks of conda-lock.

mod channel;
pub(crate) mod environment;
pub(crate) mod explicit;
pub(crate) mod list;
pub(crate) mod lock;
mod spec;

pub use spec::CondaSpec;

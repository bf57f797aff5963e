//! Conda packages: what conda would be given becomes archives with digests.
//!
//! rattler's solver chooses among the records that its gateway reads of the channels ([`Resolver`]). What a user wrote
//! becomes its specs and channels ([`request`], [`channels`]); the machine it is for is described by virtual packages
//! ([`Target`]); every exchange goes through our fetcher ([`client`]), so that credentials, mirrors, certificates and
//! retries are those of everything else; what was chosen becomes records of the lock ([`record`]); what went wrong is said in
//! the user's own words ([`explain`]). What a lock of another tool chose is taken over ([`take_over`]).

mod asked;
mod channels;
mod client;
mod error;
mod explain;
mod limited;
mod record;
mod request;
mod resolver;
mod solve;
mod taken;
mod target;

pub(crate) use asked::check_asked;
pub use channels::places;
pub use error::Error;
pub use explain::Explanation;
pub use resolver::{CondaConfig, CondaResolution, Question, Resolver};
pub use taken::take_over;
pub use target::{LINUX, Target};

use crate::{CondaPackage, PythonLock};

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Where conda's Python is in an image.
const BIN: &str = "/opt/provenv/bin";

/// The interpreter among `packages`, on a base with this C library; `None` where there is none.
pub fn python(packages: &[CondaPackage], glibc: &str) -> Option<PythonLock> {
    let python = packages.iter().find(|package| package.name == "python")?;
    let mut parts = python.version.split('.');
    let (major, minor) = (parts.next()?, parts.next()?);
    Some(PythonLock {
        version: python.version.clone(),
        executable: format!("{BIN}/python{major}.{minor}"),
        glibc: glibc.to_owned(),
        as_is: false,
    })
}

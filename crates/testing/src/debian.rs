//! A Debian archive of one's own: packages made on the spot, in suites, signed with a key made on the spot.
//!
//! ```no_run
//! use provenv_testing::debian::{DebianArchive, Deb, Key, Suite};
//! use provenv_testing::server::Server;
//!
//! let mut archive = DebianArchive::new(Key::generate());
//! archive.add(Suite::new("bookworm").with_base(&["bash"], "3.11.2").with(Deb::new("git", "1:2.39").depends("libc6")));
//! let server = Server::start(archive.tree());
//! ```

mod archive;
mod deb;
mod key;

pub use archive::{DebianArchive, Suite};
pub use deb::{Compression, Deb};
pub use key::{Hash, Key, Lifetime};

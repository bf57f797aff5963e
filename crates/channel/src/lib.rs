//! Test support: conda channels that need no conda. Never part of what is shipped.
//!
//! Packages are made on the spot, byte for byte the same at every call, and laid out as conda-build does; a channel writes
//! their index in each form that clients ask for.
//!
//! ```
//! use provenv_channel::{Channel, Package};
//! use provenv_testing::server::{FileTree, Server};
//!
//! let tool = Package::new("tool", "1.0")
//!     .build("py311_0", 0)
//!     .depends("python >=3.11,<3.12.0a0")
//!     .prefixed_text("bin/tool", "#!{PREFIX}/bin/python\nprint('{PREFIX}')\n")
//!     .prefixed_binary("lib/libtool.so", b"\x7fELF{PREFIX}/share\0rest")
//!     .symlink("lib/libtool.so.1", "libtool.so");
//! let library = Package::new("library", "2.0")
//!     .noarch_python()
//!     .file("site-packages/library.py", "def main(): print('hello')\n")
//!     .python_dist("library", "2.0", &["requests>=2"])
//!     .entry_point("library = library:main");
//! let channel = Channel::new("demo").add(tool).add(library);
//! let server = Server::start(channel.serve(FileTree::new()));
//! let channel_url = server.at("/demo");
//! # let _ = channel_url;
//! ```

mod archive;
mod channel;
mod content;
mod index;
mod info;
mod oci;
mod package;
mod python;
mod real;
mod tools;

pub use archive::Archive;
pub use channel::Channel;
pub use package::{Package, placeholder};
pub use real::{RealChannel, real};
pub use tools::{python_with, scratch, skip};

//! Test support: what stands in for the outside world in tests. Never part of what is shipped.

pub mod debian;
pub mod elf;
pub mod proxy;
pub mod pypi;
pub mod server;
pub mod tap;
pub mod tls;

//! What was chosen: a definition becomes a lock, with a receipt that says how.

pub mod model;
pub mod tool;

pub use model::{
    Artifact, BaseLock, DebPackage, IndexState, Lock, PlatformLock, PypiPackage, PypiSource, PythonLock, Receipt,
    ToolVersion,
};

//! What was chosen: a definition becomes a lock, with a receipt that says how.

mod advice;
mod asked;
pub mod conda;
pub mod debian;
pub mod diff;
mod export;
mod holding;
pub mod model;
pub mod pypi;
mod range;
pub mod tool;
mod upgrade;
pub mod validate;

pub use export::{ExportError, export};
pub use holding::Held;
pub use model::{
    Artifact, BaseLock, CondaPackage, ContextLock, DebPackage, DockerfileLock, ImageLock, IndexState, Lock,
    PinnedLayer, PlatformLock, PostLink, PypiPackage, PypiSource, PythonLock, Receipt, ToolVersion,
};
pub use range::{PackageRange, RangeError};
pub use upgrade::Upgrade;
pub use validate::{InvalidLock, Places, conda_subdir, strange_urls};

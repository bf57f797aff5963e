//! What was chosen: a definition becomes a lock, with a receipt that says how.

mod advice;
mod asked;
pub mod conda;
pub mod debian;
pub mod diff;
mod export;
pub mod model;
pub mod pypi;
pub mod tool;
mod upgrade;
pub mod validate;

pub use export::{ExportError, export};
pub use model::{
    Artifact, BaseLock, CondaPackage, ContextLock, DebPackage, DockerfileLock, ImageLock, IndexState, Lock,
    PinnedLayer, PlatformLock, PostLink, PypiPackage, PypiSource, PythonLock, Receipt, ToolVersion,
};
pub use upgrade::Upgrade;
pub use validate::{InvalidLock, Places, conda_subdir, strange_urls};

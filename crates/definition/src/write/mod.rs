//! From the model back to files that people can read, and that read back as the same model.

mod native;
mod requirements;

pub use native::write_native;
pub use requirements::{RequirementsFiles, write_requirements};

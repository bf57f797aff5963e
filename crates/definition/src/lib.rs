//! What was asked for: the model of an environment, the formats it is read from and written to,
//! the checks on it, and its canonical digest. This crate reads files and nothing else.

mod diagnostic;
mod digest;
mod model;
mod platform;
mod safe_url;

pub use diagnostic::{Diagnostic, Severity, Span};
pub use digest::{Digest, DigestParseError, Hasher};
pub use model::{
    Base, Definition, Environment, InferenceConfig, PipRequirements, PipRequirement, PythonRequest, Route, Suite,
    SystemPackage,
};
pub use platform::{Platform, PlatformParseError};
pub use safe_url::SafeUrl;

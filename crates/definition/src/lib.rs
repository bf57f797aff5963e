//! What was asked for: the model of an environment, the formats it is read from and written to,
//! the checks on it, and its canonical digest. This crate reads files and nothing else.

mod azure;
mod canonical;
pub mod capture;
mod check;
pub mod codes;
mod columns;
mod conda;
mod diagnostic;
mod difference;
mod digest;
mod dockerfile;
pub mod document;
pub mod examples;
mod extend;
mod fix;
mod folder;
#[cfg(fuzzing)]
pub mod fuzzing;
mod lint;
mod lock_reader;
pub mod locked;
mod mlflow;
mod model;
mod native;
pub mod pages;
mod pip;
mod pixi;
mod platform;
mod python;
mod read;
mod recognise;
mod remarks;
mod requirement;
mod safe_url;
mod secrets;
mod sections;
mod source;
mod spelling;
mod suggest;
mod write;

pub use canonical::{canonical_bytes, definition_digest};
pub use check::{check, check_at, no_interpreter};
pub use conda::{CondaSpec, VirtualPackage};
pub use diagnostic::{Diagnostic, Place, Severity, Span};
pub use difference::{Difference, differences};
pub use digest::{Digest, DigestParseError, Hasher};
pub use dockerfile::{
    ContextFile, ContextFileKind, NamedImage, Recipe, RecipeStep, SecretMount, context_files,
};
pub use extend::extend;
pub use fix::{Edit, Fix, Position, apply};
pub use folder::file_of as file_in_folder;
pub use lint::{Linted, lint, lint_bytes, lint_str};
pub use locked::{LockedArtifacts, LockedConda, LockedFile, LockedPypi, LockedSource};
pub use model::{
    Base, BuildContext, CondaChannel, CondaRequirement, CondaRequirements, ContextLocation, CranPackage,
    Definition, Environment, InferenceConfig, MavenPackage, PipRequirement, PipRequirements, PythonRequest,
    RPackages, Route, SparkPackages, Suite, SystemPackage,
};
pub use platform::{Platform, PlatformParseError};
pub use read::{Format, Origins, ReadEnvironment, ReadError, read, read_node, read_str};
pub use remarks::Remarks;
pub use requirement::{Marker, MarkerEnvironment, Requirement, RequirementError, normalise_name};
pub use safe_url::SafeUrl;
pub use secrets::{holds_secret, is_secret_name, mask_secrets};
pub use source::Source;
pub use suggest::nearest;
pub use write::{
    NotCarried, RequirementsFiles, WriteError, WriteFormat, Written, WrittenFile, write, write_lock,
    write_native, write_requirements,
};

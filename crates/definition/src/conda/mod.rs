//! Conda: environment files, lists of packages, locks of conda-lock.

mod channel;
mod dependencies;
pub(crate) mod environment;
pub(crate) mod explicit;
pub(crate) mod list;
pub(crate) mod lock;
mod selector;
mod spec;
mod virtual_package;

pub(crate) use channel::{by_name, default_alias, is_package_file, is_subdir};
pub use spec::CondaSpec;
pub use virtual_package::VirtualPackage;

use std::path::Path;

use crate::pip::LogicalLine;
use crate::requirement::RequirementError;
use crate::secrets::shown;
use crate::{CondaChannel, Diagnostic, codes};

/// The channel that `text` names; `None` for `nodefaults`.
pub(crate) fn channel_of(text: &str, folder: &Path) -> Result<Option<CondaChannel>, RequirementError> {
    channel::parse(text, folder).map(|given| given.channel)
}

/// The spec that `text` writes.
pub(crate) fn spec_of(text: &str, folder: &Path) -> Result<CondaSpec, RequirementError> {
    spec::Parsed::new(text, folder).map(|parsed| parsed.spec)
}

/// The spec of the one package that is at the URL or path `text`.
pub(crate) fn spec_of_package(text: &str, folder: &Path) -> Result<CondaSpec, RequirementError> {
    let spec = spec::Parsed::new(text, folder)?.spec;
    if spec.url.is_some() {
        return Ok(spec);
    }
    let message = format!("`{}` is not the URL of a conda package", shown(text));
    Err(RequirementError::new(codes::INVALID_CONDA_SPEC, message, 0, text.len()))
}

/// What is wrong with the text of `line`, with its place.
fn refused(line: &LogicalLine<'_>, error: RequirementError) -> Diagnostic {
    let diagnostic = Diagnostic::new(error.code, error.message).at(line.place(error.offset, error.length));
    Diagnostic { hint: error.hint, ..diagnostic }
}

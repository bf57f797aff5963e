//! Conda: environment files, lists of packages, locks of conda-lock.

mod channel;
mod dependencies;
pub(crate) mod environment;
pub(crate) mod explicit;
pub(crate) mod list;
pub(crate) mod lock;
mod selector;
mod spec;

pub(crate) use channel::{is_package_file, is_subdir};
pub use spec::CondaSpec;

use crate::Diagnostic;
use crate::pip::LogicalLine;
use crate::requirement::RequirementError;

/// What is wrong with the text of `line`, with its place.
fn refused(line: &LogicalLine<'_>, error: RequirementError) -> Diagnostic {
    let diagnostic = Diagnostic::new(error.code, error.message).at(line.place(error.offset, error.length));
    Diagnostic { hint: error.hint, ..diagnostic }
}

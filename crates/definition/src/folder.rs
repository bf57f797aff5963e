//! A folder: the file in it that says most, or the environment that it is.

use std::path::Path;

use crate::{Diagnostic, ReadEnvironment, ReadError, codes};

pub(crate) fn read(path: &Path) -> Result<ReadEnvironment, ReadError> {
    Err(Diagnostic::new(codes::UNREADABLE, "cannot read the file: it is a folder")
        .with_hint("name the file in it, e.g. `requirements.txt`")
        .in_file(path)
        .into())
}
